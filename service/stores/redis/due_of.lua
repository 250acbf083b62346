-- Ids of one owner's records that are due in a minute or before. KEYS, for each shard: owners, due. ARGV: where the
-- owner's entries begin and end; how many of them to look at in a shard; the number of bytes before an id; the minute.

local before_id, minute = tonumber(ARGV[4]), tonumber(ARGV[5])

local function add_due(answers, ids, minutes)
    for n, id in ipairs(ids) do
        if minutes[n] and tonumber(minutes[n]) <= minute then
            table.insert(answers, id)
        end
    end
end

local answers = {}
for n = 1, #KEYS, 2 do
    local ids = redis.call('ZRANGE', KEYS[n], ARGV[1], ARGV[2], 'BYLEX', 'LIMIT', 0, ARGV[3])
    for at, member in ipairs(ids) do
        ids[at] = string.sub(member, before_id + 1)
    end
    if #ids > 0 then
        add_due(answers, ids, redis.call('ZMSCORE', KEYS[n + 1], unpack(ids)))
    end
end
return answers
