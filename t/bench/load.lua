-- The requests of a file, byte for byte, in their order and again from the
-- first: wrk -s load.lua URL -- FILE.  The last line of the output is exact.

local requests = {}
local last = 0

function init(args)
   local file = assert(io.open(args[1], "rb"))

   for text in file:read("*a"):gmatch("(.-\r\n\r\n)") do
      requests[#requests + 1] = text
   end

   file:close()
   assert(#requests > 0, "no requests")
end

function request()
   last = last % #requests + 1
   return requests[last]
end

function done(summary, latency)
   local e = summary.errors

   io.write(string.format(
      "done requests=%d us=%d bytes=%d refused=%d failed=%d p50=%d p99=%d "
      .. "max=%d\n",
      summary.requests, summary.duration, summary.bytes, e.status,
      e.connect + e.read + e.write + e.timeout,
      latency:percentile(50), latency:percentile(99), latency.max))
end
