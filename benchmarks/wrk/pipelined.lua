-- 16 requests in one write; wrk counts each of them and waits for all 16 answers.
local batch

function init(args)
  batch = string.rep(wrk.format(), 16)
end

function request()
  return batch
end
