-- The shared counter of burst limits in Redis: every question is this one script, so that each is atomic.
-- KEYS: state, checked-in processes, ready processes, totals by limit, wanted limits; prefix of what a process holds.
-- ARGV: question, process, epoch, arguments of the question.
-- Numbers count for one run of the server and one epoch: after a restart, a failover, a flush or a new epoch they begin
-- at nothing, and nobody is granted anything before everybody who may hold something has said what.
local state, checked, ready, totals, wanted, held_by = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local question, process, epoch = ARGV[1], ARGV[2], tonumber(ARGV[3])
local held = held_by .. process

local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local now = redis.call('HMGET', state, 'run', 'epoch', 'birth', 'complete')
if now[1] == run and tonumber(now[2]) > epoch then
    return {'old'}
end
if now[1] ~= run or tonumber(now[2]) < epoch then
    for _, each in ipairs(redis.call('SMEMBERS', checked)) do
        redis.call('DEL', held_by .. each)
    end
    redis.call('DEL', held, checked, ready, totals, wanted)
    local time = redis.call('TIME')
    now = {run, epoch, time[1] .. '.' .. time[2], '0'}
    redis.call('HSET', state, 'run', run, 'epoch', epoch, 'birth', now[3], 'complete', '0')
end
local birth, complete = now[3], now[4] == '1'

local function set(key, before, after)
    if after ~= before then
        if after == 0 then redis.call('HDEL', held, key) else redis.call('HSET', held, key, after) end
        local total = redis.call('HINCRBY', totals, key, after - before)
        if total == 0 then redis.call('HDEL', totals, key) end
    end
end

local function free(whose)
    local all = redis.call('HGETALL', held_by .. whose)
    for i = 1, #all, 2 do
        if redis.call('HINCRBY', totals, all[i], -all[i + 1]) == 0 then redis.call('HDEL', totals, all[i]) end
    end
    redis.call('DEL', held_by .. whose)
end

if question == 'ready' then
    redis.call('SADD', ready, process)
    return {'ok', birth, redis.call('SMEMBERS', ready)}
elseif question == 'check in' then -- ARGV: then key and number of each that it holds
    free(process)
    redis.call('SADD', checked, process)
    for i = 4, #ARGV, 2 do set(ARGV[i], 0, tonumber(ARGV[i + 1])) end
    return {'ok', birth}
elseif question == 'free' then
    free(process)
    redis.call('SREM', checked, process)
    return {'ok', birth}
elseif question == 'complete' then -- ARGV: birth of the numbers that are meant, then everybody who may hold something
    if ARGV[4] ~= birth then return {'empty'} end
    for i = 5, #ARGV do
        if redis.call('SISMEMBER', checked, ARGV[i]) == 0 then return {'incomplete', birth} end
    end
    redis.call('HSET', state, 'complete', '1')
    return {'ok', birth}
end

if redis.call('SISMEMBER', checked, process) == 0 then
    return {'empty'}
end
if question == 'wanted' then
    local mine = {}
    for _, key in ipairs(redis.call('SMEMBERS', wanted)) do
        if redis.call('HEXISTS', held, key) == 1 then mine[#mine + 1] = key end
    end
    return {complete and 'ok' or 'incomplete', birth, mine}
end

-- exchange. ARGV: then key, limit, keep, want and urgency of each
local answers = {}
for i = 4, #ARGV, 5 do
    local key, limit, keep = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
    local want, urgent = tonumber(ARGV[i + 3]), ARGV[i + 4] == '1'
    local before = tonumber(redis.call('HGET', held, key) or '0')
    local total = tonumber(redis.call('HGET', totals, key) or '0')
    local kept = math.min(before, keep)
    local gets = 0
    local has_precedence = urgent or redis.call('SISMEMBER', wanted, key) == 0
    if complete and has_precedence then gets = math.max(math.min(want, limit - (total - before + kept)), 0) end
    set(key, before, kept + gets)
    if gets > 0 then
        redis.call('SREM', wanted, key)
    elseif want > 0 and urgent then
        redis.call('SADD', wanted, key)
    end
    local others = {}
    if gets == 0 and want > 0 and urgent then
        for _, each in ipairs(redis.call('SMEMBERS', checked)) do
            if each ~= process and redis.call('HEXISTS', held_by .. each, key) == 1 then others[#others + 1] = each end
        end
    end
    answers[#answers + 1] = {kept + gets, others}
end
return {complete and 'ok' or 'incomplete', birth, answers}
