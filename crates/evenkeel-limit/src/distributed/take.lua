-- Takes permits from a bucket, or gives some back: `Level::take` of quota.rs, on the clock of the server.
-- The key holds when the bucket is full, in microseconds, and by how many parts it is more than full then.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local speed, cost, depth = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local returned, least, most = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local full_at, over = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%d+)$')
local missing = 0
if full_at then
  missing = math.min(math.max((full_at - now) * speed - over, 0), depth)
end
missing = math.max(missing - returned * cost, 0)

local there = depth - missing
there = (there - there % cost) / cost
local granted = 0
if there >= least then
  granted = math.min(there, most)
end
missing = missing + granted * cost

local micros = math.ceil(missing / speed)
if micros == 0 then
  redis.call('DEL', KEYS[1])
elseif granted > 0 or returned > 0 then
  local value = string.format('%.0f %.0f', now + micros, micros * speed - missing)
  redis.call('SET', KEYS[1], value, 'PX', string.format('%.0f', math.ceil(micros / 1000) + 1))
end
return { granted, micros }
