// The driver tells of the steps of a backend, and finds what a pool leaves alive: `node test_pools.mjs`.
import { strict as assert } from 'node:assert';
import { Rule, clock } from './evenkeel_tck.mjs';

/** One object, made by the first get, and waiters in a queue. */
class Pool {
  idle = [];
  waiters = [];

  constructor({ backend }, faults) { Object.assign(this, { backend, faults }); }

  async get() {
    if (!this.hasObject) {
      this.hasObject = true;
      this.release({ object: await this.backend.create() });
    }
    if (this.idle.length === 0) await new Promise((done) => this.waiters.push(done));
    const resource = this.idle.pop();
    await resource.object.check();
    return resource;
  }

  release(resource) {
    if (this.faults.loses && this.wasLent) return;
    this.wasLent = true;
    this.idle.push(resource);
    this.waiters.shift()?.();
  }

  async warm() { throw new Error('there is no water'); }

  async end() {
    if (this.faults.every) setInterval(() => {}, this.faults.every);
    if (this.faults.hangs) await new Promise(() => {});
    if (this.faults.throws) setTimeout(() => { throw new Error('the timer fails'); }, 1);
    for (const { object } of this.idle) object.free();
  }
}

async function begin(faults = {}) {
  const rule = new Rule({ pool: (settings) => new Pool(settings, faults) });
  const pool = { do: 'pool', id: 2, settings: { backend: 1, acquire_timeout: 2_000_000_000 } };
  assert.deepEqual(await play(rule, { do: 'begin' }, pool), ['configured 2']);
  return rule;
}

async function play(rule, ...messages) {
  await rule.play({ at: clock.now, until: clock.now, messages });
  const events = rule.events;
  rule.events = [];
  return events.map(({ event, object, id, says, reason }) => `${event} ${reason ?? object ?? id ?? says}`);
}

const get = (id) => [{ do: 'get', id, pool: 2 }, { do: 'start', id }];
const ended = (step, outcome = 'ok') => ({ do: 'ended', backend: 1, step, outcome, kind: 'single', says: 'it is refused' });

async function served(rule) {
  assert.deepEqual(await play(rule, ...get(3)), ['create 1']);
  assert.deepEqual(await play(rule, ended(1)), ['check 1']);
  assert.deepEqual(await play(rule, ended(2)), ['got 1']);
}

// Steps, and the next caller.
let rule = await begin();
await served(rule);
assert.deepEqual(await play(rule, ...get(4)), []);
assert.deepEqual(await play(rule, { do: 'return', id: 3 }), ['check 1']);
assert.deepEqual(await play(rule, ended(3)), ['got 1']);

// Errors, and those that nobody has foreseen.
for (const [outcome, reason] of [['error', 'create'], ['panic', 'panic']]) {
  rule = await begin();
  await play(rule, ...get(3));
  assert.deepEqual(await play(rule, ended(1, outcome)), [`denied ${reason}`]);
}

// A warm-up that fails is the adapter's affair.
rule = await begin();
assert.deepEqual(await play(rule, { do: 'warm', id: 3, pool: 2, objects: 1 }, { do: 'start', id: 3 }), [
  'broken a warm-up ends by Error: there is no water',
]);

// What is left alive, and a timer that fails when nothing is told any more.
// One of a millisecond is not driven through the hour.
const left = (what, when = 'an hour') => [`failed left alive ${when} after the end: ${what}`];
const ticks = '50000 ticks of timers';
for (const [faults, told] of [
  [{}, []], [{ every: 60_000 }, left('a timer of 60000 ms')], [{ every: 10 }, left('a timer of 10 ms', ticks)],
  [{ every: 1 }, left('a timer of 1 ms', ticks)], [{ every: 1, hangs: true }, left('object 1, a timer of 1 ms', ticks)],
  [{ loses: true }, left('object 1')], [{ throws: true }, ['failed at the end of the pools: Error: the timer fails']],
]) {
  rule = await begin(faults);
  await served(rule);
  const end = [{ do: 'return', id: 3 }, { do: 'drop_pool', pool: 2 }, { do: 'end' }];
  assert.deepEqual(await play(rule, ...end), told);
  assert.equal(clock.now, 0);
}
console.error('pools are told, and what they leave alive');
process.exit();
