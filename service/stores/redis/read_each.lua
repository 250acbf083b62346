-- What a reading command, ARGV, answers for each of the keys.

local answers = {}
for n, key in ipairs(KEYS) do
    answers[n] = redis.call(ARGV[1], key, unpack(ARGV, 2))
end
return answers
