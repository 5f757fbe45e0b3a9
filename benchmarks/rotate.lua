-- wrk: the keys of the file KEYS (one a line) in turn, under the scheme SCHEME; requests are built once.
local requests, turn = {}, 0

function init()
  for key in io.lines(os.getenv("KEYS")) do
    requests[#requests + 1] = wrk.format("GET", wrk.path, {
      ["Authorization"] = os.getenv("SCHEME") .. " " .. key,
      ["User-Agent"] = "python-requests/2.32.3",
      ["Accept"] = "*/*",
    })
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %f, "p50_us": %d, "p99_us": %d, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
