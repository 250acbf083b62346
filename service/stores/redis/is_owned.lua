-- Whether all live records of a shard are counted by owner. KEYS, for each: the shard's counts, live.

local answers = {}
for n = 1, #KEYS, 2 do
    local fields, num_live = redis.call('HGETALL', KEYS[n]), 0
    for at = 1, #fields, 2 do
        if fields[at] ~= 'bytes' then
            num_live = num_live + tonumber(fields[at + 1])
        end
    end
    table.insert(answers, num_live == tonumber(redis.call('HGET', KEYS[n + 1], 'all') or 0) and 1 or 0)
end
return answers
