-- Plain GETs, counted only after the first so many seconds, the script's one argument: by then all
-- connections are open. A request is counted when it is sent; with one on its way on each connection at
-- both ends of the count, that is the number of answers.
local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds, nanoseconds; } moment;
  int clock_gettime(int clock, moment *now);
]]
local MONOTONIC = 1
local now = ffi.new("moment")
local threads = {}
local text, begin

local function seconds()
  ffi.C.clock_gettime(MONOTONIC, now)
  return tonumber(now.seconds) + tonumber(now.nanoseconds) / 1e9
end

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  text = wrk.format()
  begin = seconds() + tonumber(args[1])
  sent = 0
end

function request()
  if counted_from then
    sent = sent + 1
  elseif seconds() >= begin then
    counted_from = seconds()
  end
  return text
end

function done()
  local thread = threads[1]  -- There is one alone.
  local from = thread:get("counted_from")
  if from then
    print(string.format("Steady requests/sec: %.2f", thread:get("sent") / (seconds() - from)))
  else
    print("Steady requests/sec: none")
  end
end
