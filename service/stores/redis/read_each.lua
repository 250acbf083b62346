-- Run a reading command, ARGV, on each of the keys.

local answers = {}
for n, key in ipairs(KEYS) do
    answers[n] = redis.call(ARGV[1], key, unpack(ARGV, 2))
end
return answers
