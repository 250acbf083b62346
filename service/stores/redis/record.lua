-- The index entries of a record, read from its bytes, which service/stores/packing.py lays out. Precedes each script that
-- writes. Per record there are KEYS_EACH keys, all of one shard: the record, then its shard's indexes and counts:
--
--     due     score: minute from which it is overdue         all records
--     use     score: minute of the last use                  live records
--     counts  'bytes' of all bodies; live records by '=' .. bundle
--     owners  length of the owner, owner, id; no scores      all but checkpoints
--     live    live records by '=' .. owner; 'all' of them
--
-- A script for steps has no keys for the last two, since steps do not change them.

local ALL_KEYS = 6
local FIELDS, LENGTHS, NAMES = 21, 29, 31
local STEP, STEP_END = 13, 20
local ID = #'unrolled:{00}:s:' + 1
local NO_ENTRIES = {}

local LONGEST_HEAD = NAMES - 1 + 3 * 255

-- The first bytes of a record, which are all that is needed, and its length; nil if the key is not a string. Taking the
-- whole record into Lua would cost more than all the rest.
local function head_of(key, max_bytes)
    local length = redis.pcall('STRLEN', key)
    if type(length) ~= 'number' then
        if string.sub(length.err, 1, 9) ~= 'WRONGTYPE' then
            error(length) -- the record is on another server, where its slot is moving to
        end
        return nil, nil
    end
    return redis.call('GETRANGE', key, 0, max_bytes - 1), length
end

local function entries_of(content, length)
    if length < NAMES - 1 or string.sub(content, 1, 3) ~= 'UR\1' then
        return nil
    end
    local used_at, ttl_seconds, bundle_length, ended_length = struct.unpack('<I4I4BB', content, FIELDS)
    local bundle = NAMES + string.byte(content, 4)
    local ended = bundle + bundle_length
    local body = ended + ended_length
    if length < body - 1 then
        return nil
    end
    local owner = string.sub(content, NAMES, bundle - 1)
    local is_live = ended_length == 0
    local is_session = string.sub(content, ended, body - 1) ~= 'checkpoint'
    return {
        due = math.floor((used_at + ttl_seconds) / 60),
        use = is_live and math.floor(used_at / 60) or nil,
        owner = is_session and string.sub(content, 4, 4) .. owner or nil,
        bundle = is_live and '=' .. string.sub(content, bundle, ended - 1) or nil,
        live = is_live and '=' .. owner or nil,
        num_bytes = length - body + 1,
    }
end

local function count_live(counts, name, change)
    if name and redis.call('HINCRBY', counts, name, change) <= 0 then
        redis.call('HDEL', counts, name)
    end
end

local function count_owner(live, owner, change)
    count_live(live, owner, change)
    count_live(live, owner and 'all', change)
end

-- Both return true unless the entry to remove was missing.
local function move_score(index, id, before, after)
    if before == after then
        return true
    end
    if after then
        return redis.call('ZADD', index, after, id) == (before and 0 or 1)
    end
    return redis.call('ZREM', index, id) == 1
end

local function move_owner(owners, id, before, after)
    if before == after then
        return true
    end
    if after then
        redis.call('ZADD', owners, 0, after .. id)
    end
    return not before or redis.call('ZREM', owners, before .. id) == 1
end

-- Move the record with the key KEYS[at] from some entries to others. Return false if its old entries were not as expected.
local function move(at, before, after)
    local id, counts = string.sub(KEYS[at], ID), KEYS[at + 3]
    local due = move_score(KEYS[at + 1], id, before.due, after.due)
    local use = move_score(KEYS[at + 2], id, before.use, after.use)
    local owner = move_owner(KEYS[at + 4], id, before.owner, after.owner)
    local change = (after.num_bytes or 0) - (before.num_bytes or 0)
    if change ~= 0 then
        redis.call('HINCRBY', counts, 'bytes', change)
    end
    if before.bundle ~= after.bundle then
        count_live(counts, after.bundle, 1)
        count_live(counts, before.bundle, -1)
    end
    if before.live ~= after.live then
        count_owner(KEYS[at + 5], after.live, 1)
        count_owner(KEYS[at + 5], before.live, -1)
    end
    return due and use and owner
end

-- The results of one call: a character per record, how the counts changed, and the keys of records whose old entries were
-- not as expected.
local outcome = {won = {}, num_live = 0, num_bytes = 0, misindexed = {}}

local function reindex(at, before, after)
    if not move(at, before, after) then
        table.insert(outcome.misindexed, KEYS[at])
    end
    outcome.num_live = outcome.num_live + (after.bundle and 1 or 0) - (before.bundle and 1 or 0)
    outcome.num_bytes = outcome.num_bytes + (after.num_bytes or 0) - (before.num_bytes or 0)
end

local function answer()
    return {table.concat(outcome.won), outcome.num_live, outcome.num_bytes, outcome.misindexed}
end
