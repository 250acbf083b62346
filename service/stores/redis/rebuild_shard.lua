-- Rebuild the indexes and counts of one shard from its records. KEYS: the shard's due, use, counts, owners, live. ARGV: the
-- prefix of record keys, which cannot be declared, since only `due` has them, but which share the hash slot. A damaged
-- record stays in `due` and is not counted.
--
-- Read everything before writing, and fill each key before removing from it: while the slot moves to another server, a
-- record may be there already, and a key that has moved cannot be created again here.

local due, use, counts, owners, live, prefix = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], ARGV[1]
local gone, entries = {}, {}
for _, id in ipairs(redis.call('ZRANGE', due, 0, -1)) do
    local head, length = head_of(prefix .. id, LONGEST_HEAD)
    if length == 0 then
        table.insert(gone, id)
    else
        entries[id] = head and entries_of(head, length)
    end
end

local function add(numbers, name, change)
    if name then
        numbers[name] = (numbers[name] or 0) + change
    end
end

local used, owned, counted, lives, num_bytes = {}, {}, {}, {}, 0
for id, record in pairs(entries) do
    if record then
        redis.call('ZADD', due, record.due, id)
        used[id] = record.use
        if record.owner then
            owned[record.owner .. id] = 0
        end
        add(counted, record.bundle, 1)
        add(lives, record.live, 1)
        add(lives, record.live and 'all', 1)
        num_bytes = num_bytes + record.num_bytes
    end
end
counted['bytes'] = num_bytes > 0 and num_bytes or nil

local function score_these(index, scores)
    for member, score in pairs(scores) do
        redis.call('ZADD', index, score, member)
    end
    for _, member in ipairs(redis.call('ZRANGE', index, 0, -1)) do
        if not scores[member] then
            redis.call('ZREM', index, member)
        end
    end
end

local function count_these(key, numbers)
    for name, number in pairs(numbers) do
        redis.call('HSET', key, name, number)
    end
    for _, name in ipairs(redis.call('HKEYS', key)) do
        if not numbers[name] then
            redis.call('HDEL', key, name)
        end
    end
end

score_these(use, used)
score_these(owners, owned)
count_these(counts, counted)
count_these(live, lives)
for _, id in ipairs(gone) do
    redis.call('ZREM', due, id)
end
return 1
