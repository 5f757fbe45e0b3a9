-- wrk: the keys of the file KEYS (one a line) in turn, under the scheme SCHEME.
local keys, count, turn = {}, 0, 0
local before, after

function init()
  for key in io.lines(os.getenv("KEYS")) do
    count = count + 1
    keys[count] = key
  end
  local mark = "the-key"
  local request = wrk.format("GET", wrk.path, {
    ["Authorization"] = os.getenv("SCHEME") .. " " .. mark,
    ["User-Agent"] = "python-requests/2.32.3",
    ["Accept"] = "*/*",
  })
  local first, last = request:find(mark, 1, true)
  before, after = request:sub(1, first - 1), request:sub(last + 1)
end

function request()
  turn = turn % count + 1
  return before .. keys[turn] .. after
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %f, "p50_us": %d, "p99_us": %d, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
