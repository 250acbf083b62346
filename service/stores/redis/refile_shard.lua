-- File every record of one shard again, and count them. KEYS: the shard's due, use, counts, owners, live. ARGV: what all keys
-- of records begin with; they cannot be declared, since `due` alone knows them, but they are of the same hash slot.
-- A damaged record stays in `due` and is not counted.

local due, use, counts, owners, live, prefix = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], ARGV[1]
local num_bytes = 0
redis.call('DEL', use, counts, owners, live)
for _, id in ipairs(redis.call('ZRANGE', due, 0, -1)) do
    local head, length = head_of(prefix .. id, LONGEST_HEAD)
    local filing = head and filing_of(head, length)
    if length == 0 then
        redis.call('ZREM', due, id)
    elseif filing then
        redis.call('ZADD', due, filing.due, id)
        move_score(use, id, nil, filing.use)
        move_owner(owners, id, nil, filing.owner)
        count_live(counts, filing.bundle, 1)
        count_owner(live, filing.live, 1)
        num_bytes = num_bytes + filing.num_bytes
    end
end
if num_bytes > 0 then
    redis.call('HINCRBY', counts, 'bytes', num_bytes)
end
return 1
