// The clock of the driver is exact to the millisecond, which is what Node's timers have: `node test_clock.mjs`.
import { strict as assert } from 'node:assert';
import timersPromises, { scheduler, setImmediate as promised } from 'node:timers/promises';
import { promisify } from 'node:util';
import { clock, next, runUntil, settle } from './evenkeel_tck.mjs';

const MS = 1_000_000;
const begin = () => Object.assign(clock, { now: 0, timers: [] });
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function off(sleeps, ms) {
  begin();
  let isOver = false;
  (async () => {
    for (let i = 0; i < sleeps; i++) await sleep(ms);
    isOver = true;
  })();
  await settle();
  await runUntil(1e18, () => isOver);
  return clock.now - sleeps * ms * MS;
}

for (const [sleeps, ms] of [[5_000, 1], [500, 100], [500, 60_100]]) assert.equal(await off(sleeps, ms), 0);

// 0, fractions, too much and what is no number are as in Node; `performance` and `hrtime` go with it.
begin();
const fired = [];
for (const ms of [2.9, 0, -5, NaN, 2 ** 31, 2]) setTimeout(() => fired.push([ms, performance.now()]), ms);
const begun = process.hrtime();
await runUntil(10 * MS, () => false);
assert.deepEqual(fired, [[0, 1], [-5, 1], [NaN, 1], [2 ** 31, 1], [2.9, 2], [2, 2]]);
assert.deepEqual(process.hrtime(begun), [0, 10 * MS]);

// What a timer leaves to promises and immediates is done at its time.
begin();
const left = [];
for (const ms of [1, 2]) {
  setTimeout(async () => {
    await null;
    left.push(['promise', clock.now / MS]);
    if (ms === 1) setImmediate((what) => left.push([what, clock.now / MS]), 'immediate');
    else left.push([await promisify(setImmediate)('promised'), clock.now / MS]);
  }, ms);
}
setTimeout(() => {}, 3);
await runUntil(4 * MS, () => false);
assert.deepEqual(left, [['promise', 1], ['immediate', 1], ['promise', 2], ['promised', 2]]);

// So are two of them, one behind the other, by each of their names.
for (const immediate of [
  promisify(setImmediate), promised, () => scheduler.yield(), timersPromises.setImmediate, () => timersPromises.scheduler.yield(),
]) {
  begin();
  const ended = [];
  setTimeout(async () => {
    await immediate();
    await immediate();
    ended.push(clock.now / MS);
  }, 1);
  setTimeout(() => {}, 2);
  setTimeout(() => {}, 3);
  await runUntil(4 * MS, () => false);
  assert.deepEqual(ended, [1]);
}
assert.equal(await promised('its value'), 'its value');
await assert.rejects(promised('none', { signal: AbortSignal.abort() }), { name: 'AbortError' });

// A timer says whether it keeps a program alive.
begin();
const kept = setTimeout(() => {}, 1);
assert.deepEqual([kept.hasRef(), kept.unref().hasRef(), kept.ref().hasRef()], [true, false, true]);
clearTimeout(kept);

// A timer at the end of a turn is left for the next one, and a turn ends when something happens.
begin();
const seen = [];
const every = setInterval(() => seen.push(clock.now / MS), 10);
await runUntil(30 * MS, () => false);
assert.deepEqual([seen, clock.now], [[10, 20], 30 * MS]);
await runUntil(100 * MS, () => seen.includes(40));
assert.deepEqual([seen, clock.now], [[10, 20, 30, 40], 40 * MS]);
clearInterval(every);
assert.equal(next(), Infinity);

// Timers are not counted while time moves. Where floats have no milliseconds, an interval stands still, and that is an end.
begin();
let ticks = 0;
const often = setInterval(() => { ticks += 1; }, 1);
await runUntil(60_000.5 * MS, () => false);
assert.equal(ticks, 60_000);
clearInterval(often);
begin();
clock.now = 1e24;
setInterval(() => {}, 1);
await assert.rejects(runUntil(2e24, () => false), /50000 timers without an end/);
console.error('the clock is exact to the millisecond');
process.exit();
