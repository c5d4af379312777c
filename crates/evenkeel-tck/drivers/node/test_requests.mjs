// The driver gives back what comes after a cancel: `node test_requests.mjs`.
import { strict as assert } from 'node:assert';
import { Rule, clock } from './evenkeel_tck.mjs';

/** Grants after 1 s, whatever its signal says. */
const given = [];
const limiter = () => ({
  acquire: (permits) => new Promise((granted) => setTimeout(() => granted(() => given.push(permits)), 1000)),
});

async function play(rule, until, ...messages) {
  await rule.play({ at: clock.now, until, messages });
  const events = rule.events;
  rule.events = [];
  return events.map(({ event, id, cancelled }) => `${event} ${id}${cancelled ? ' cancelled' : ''}`);
}

const SECOND = 1e9;
const rule = new Rule({ limiter });
assert.deepEqual(await play(rule, 0, { do: 'begin' }, { do: 'limiter', id: 1, settings: {} }), ['configured 1']);
const ask = (id) => [{ do: 'acquire', id, limiter: 1, permits: id }, { do: 'start', id }];
assert.deepEqual(await play(rule, SECOND / 2, ...ask(2), ...ask(3)), []);
assert.deepEqual(await play(rule, SECOND / 2, { do: 'cancel', id: 3 }), []);
assert.deepEqual(await play(rule, 2 * SECOND), ['granted 2', 'end 3 cancelled']);
assert.deepEqual(given, [3]);
// A request that is cancelled when it has been granted, and one that was never made.
assert.deepEqual(await play(rule, SECOND, { do: 'cancel', id: 2 }), []);
assert.deepEqual(given, [3, 2]);
assert.deepEqual(await play(rule, SECOND, ask(4)[0], { do: 'cancel', id: 4 }), ['end 4 cancelled']);

// A library refuses settings by any error of its own; an adapter that calls what is not there has not asked it.
async function configured(limiter) {
  const made = new Rule({ limiter });
  await made.play({ at: 0, until: 0, messages: [{ do: 'begin' }, { do: 'limiter', id: 1, settings: { limit: {} } }] });
  return made.events;
}

for (const [limiter, says] of [
  [({ also }) => also.per, "TypeError: Cannot read properties of undefined (reading 'per')"],
  [() => Buckets(), 'ReferenceError: Buckets is not defined'],
]) {
  assert.deepEqual(await configured(limiter), [{ event: 'broken', says: `the adapter fails at these settings: ${says}` }]);
}
for (const [limiter, says] of [
  [() => { throw new Error('no rate'); }, 'Error: no rate'], [({ also }) => new URL(also), 'TypeError: Invalid URL'],
]) {
  assert.deepEqual(await configured(limiter), [{ event: 'refused', id: 1, says }]);
}
console.error('permits come back');
process.exit();
