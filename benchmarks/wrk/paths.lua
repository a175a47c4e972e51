-- GETs of the paths that follow "--" on wrk's command line, in turn.
local requests, last = {}, 0

function init(args)
  for number, path in ipairs(args) do
    requests[number] = wrk.format("GET", path)
  end
end

function request()
  last = last % #requests + 1
  return requests[last]
end
