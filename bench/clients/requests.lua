-- Sends the requests of a file with wrk: each line is a path, a tab and a body. Thread k of n takes the lines k, k + n,
-- k + 2n, ... in turn, so with as many threads as connections and lines each connection keeps a line to itself.
-- Arguments: the file, n, and headers as "Name: value".

local next_number = 0

function setup(thread)
    thread:set("number", next_number)
    next_number = next_number + 1
end

function init(args)
    local threads = tonumber(args[2])
    local headers = { ["Content-Type"] = "application/json" }
    for index = 3, #args do
        local name, value = args[index]:match("^([^:]+): (.*)$")
        headers[name] = value
    end
    requests, turn = {}, 0
    local line_number = 0
    for line in io.lines(args[1]) do
        if line_number % threads == number then
            local path, body = line:match("^([^\t]*)\t(.*)$")
            requests[#requests + 1] = wrk.format("POST", path, headers, body)
        end
        line_number = line_number + 1
    end
end

function request()
    turn = turn % #requests + 1
    return requests[turn]
end

function done(summary, latency, _)
    local errors = summary.errors
    io.write(string.format(
        '\n{"completed": %d, "microseconds": %d, "p50": %d, "p99": %d, "worst": %d, "refused": %d, "broken": %d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
        errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
