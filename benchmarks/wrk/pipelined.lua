-- Requests in one write, as many as the script's argument says; wrk counts each of them and waits for
-- all the answers.
local batch

function init(args)
  batch = string.rep(wrk.format(), tonumber(args[1]))
end

function request()
  return batch
end
