-- Takes permits from a bucket, or gives some back: `Level::take` of quota.rs, on the clock of the server.
-- The key holds when the bucket is full, in microseconds, by how many parts it is more than full then, and since when.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local speed, cost, depth = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local returned, least, most = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local missing, lost = 0, false
local known = redis.call('GET', KEYS[1])
if known then
  local full_at, over, since = string.match(known, '^(%d+) (%d+) (%d+)$')
  if not since then
    return redis.error_reply('WRONGTYPE the key holds something else than a bucket')
  end
  missing = math.max((full_at - now) * speed - over, 0)
  -- The clock has gone back: no more than all of it is missing.
  lost = now < tonumber(since) and missing > depth
end
if lost then
  missing = depth
end
missing = math.max(missing - returned * cost, 0)

local there = math.max(depth - missing, 0)
there = (there - there % cost) / cost
local granted = 0
if there >= least then
  granted = math.min(there, most)
end
missing = missing + granted * cost

local micros = math.ceil(missing / speed)
if micros == 0 then
  redis.call('DEL', KEYS[1])
elseif granted > 0 or returned > 0 or lost then
  local value = string.format('%.0f %.0f %.0f', now + micros, micros * speed - missing, now)
  redis.call('SET', KEYS[1], value, 'PX', string.format('%.0f', math.ceil(micros / 1000) + 1))
end
return { granted, math.min(micros, math.ceil(depth / speed)) }
