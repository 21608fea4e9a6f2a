-- The script of wrk: POST the file BODY again and again, each time with a running number where it says @ID@.
-- TOKEN is the bearer token (empty: none), SERIES tells this run's numbers from those of other runs.
local file = assert(io.open(os.getenv("BODY"), "rb"))
local body = file:read("*a")
file:close()
local series, number = os.getenv("SERIES"), 0

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
if os.getenv("TOKEN") ~= "" then
  wrk.headers["Authorization"] = "Bearer " .. os.getenv("TOKEN")
end

function request()
  number = number + 1
  return wrk.format(nil, nil, nil, (body:gsub("@ID@", series .. "x" .. number)))
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('\n{"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
