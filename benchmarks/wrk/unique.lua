-- Every request a passage that was never sent before, at the cost of joining some twenty strings.
--
-- Arguments: the folder that payloads.py filled (`pieces`: the body cut at its marks, see there), and a run identifier of
-- 12 hexadecimal digits. All values have fixed widths, so Content-Length is one constant. `done` prints one line of JSON.

local pieces, marks = {}, {}
local run, start, head
local n = 0
local concat, format, floor = table.concat, string.format, math.floor
local out = {}

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

-- mark -> text of that width; the twins are in payloads.py
local values = {
  S = function() return format("BENCH%07d", n % 64) end,
  U = function() return format("%s-%s-4000-8000-%012x", run:sub(1, 8), run:sub(9, 12), n) end,
  T = function() return format("%010d", start + floor(n / 64)) end,
  I = function() return run .. format("%08x", n) end,
  P = function() return format("%04d", n % 1000) end,
}

function init(args)
  local folder = args[1]
  run = args[2]
  start = os.time() - 86400
  local length = 0
  local text = read(folder .. "/body.template")
  local at = 1
  while true do
    local from, to, mark = text:find("\1(%u)", at)
    pieces[#pieces + 1] = text:sub(at, from and from - 1)
    if not from then break end
    marks[#marks + 1] = mark
    at = to + 1
  end
  for i, piece in ipairs(pieces) do
    length = length + #piece + (marks[i] and #values[marks[i]]() or 0)
  end
  head = concat({
    "POST /Record HTTP/1.1",
    "Host: " .. wrk.host .. ":" .. wrk.port,
    "Content-Type: application/json",
    "Content-Length: " .. length,
    "", "",
  }, "\r\n")
end

function request()
  n = n + 1
  out[1] = head
  local at = 1
  for i = 1, #marks do
    out[at + 1] = pieces[i]
    out[at + 2] = values[marks[i]]()
    at = at + 2
  end
  out[at + 1] = pieces[#pieces]
  return concat(out)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(format(
    'RESULT {"requests":%d,"seconds":%.6f,"status":%d,"socket":%d,"timeout":%d,"p50_ms":%.3f,"p99_ms":%.3f}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write, errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
