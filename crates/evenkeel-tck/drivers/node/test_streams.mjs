// The driver tells what becomes of items, sources and queues: `node test_streams.mjs`.
import { strict as assert } from 'node:assert';
import { Rule, clock } from './evenkeel_tck.mjs';

async function begin(operator) {
  const rule = new Rule({ operator });
  await play(rule, { do: 'begin' }, { do: 'operator', id: 1, settings: { kind: 'any' } });
  return rule;
}

/** The events of a turn, as pairs of a name and an id. */
async function play(rule, ...messages) {
  await rule.play({ at: clock.now, until: clock.now, messages });
  const events = rule.events;
  rule.events = [];
  return events.map(({ event, id }) => `${event} ${id}`);
}

const item = (id) => ({ item: { id, number: id - 10, key: 0, weight: 1 } });
const source = (...give) => ({ do: 'stream', id: 3, operator: 1, sources: [{ id: 2, give }] });

async function* oneByOne(items) {
  for await (const one of items) yield one.run();
}

// A map: one item ends, and the next one fails.
let rule = await begin(() => oneByOne);
assert.deepEqual(await play(rule, source(item(11))), []);
assert.deepEqual(await play(rule, { do: 'next', id: 3 }), ['given 2', 'begin 11']);
assert.deepEqual(await play(rule, { do: 'result', id: 11, outcome: 'ok' }), ['ended 11', 'value 3']);
assert.deepEqual(await play(rule, { do: 'next', id: 3 }), ['pull 2']);
assert.deepEqual(await play(rule, { do: 'give', id: 2, give: [item(12)] }), ['given 2', 'begin 12']);
assert.deepEqual(await play(rule, { do: 'result', id: 12, outcome: 'error' }), ['ended 12', 'dropped 2', 'failure 3']);
assert.deepEqual(await play(rule, { do: 'next', id: 3 }), ['over 3']);

// A source answers one call after another, is closed once, and tells who asks after its end.
rule = await begin(() => (items) => ({
  async *[Symbol.asyncIterator]() {
    yield* (await Promise.all([items.next(), items.next()])).map(({ value }) => value);
    await items.next();
    await items.next();
    await items.return();
  },
}));
await play(rule, source());
assert.deepEqual(await play(rule, { do: 'next', id: 3 }), ['pull 2']);
const both = await play(rule, { do: 'give', id: 2, give: [item(11), item(12), { end: true }] });
assert.deepEqual(both, ['given 2', 'given 2', 'value 3']);
assert.deepEqual(await play(rule, { do: 'next', id: 3 }), ['value 3']);
assert.deepEqual(await play(rule, { do: 'next', id: 3 }), ['given 2', 'dropped 2', 'asked again 2', 'over 3']);

// A stream that is dropped closes its source.
rule = await begin(() => oneByOne);
await play(rule, source(item(11)), { do: 'next', id: 3 }, { do: 'result', id: 11, outcome: 'ok' });
assert.deepEqual(await play(rule, { do: 'cancel', id: 3 }), ['dropped 2']);

// A map without a stream.
rule = await begin(() => async (items, consumer) => {
  for await (const one of items) if (await consumer.take(await one.run())) return;
});
await play(rule, source(item(11), item(12)));
assert.deepEqual(await play(rule, { do: 'start', id: 3 }), ['given 2', 'begin 11']);
assert.deepEqual(await play(rule, { do: 'result', id: 11, outcome: 'ok' }), ['ended 11', 'take 3']);
assert.deepEqual(await play(rule, { do: 'taken', id: 3, take: 1, stop: true }), ['dropped 2', 'over 3']);

// A queue.
const queue = () => {
  const [items, waiting] = [[], []];
  return {
    async push(one) { items.push(one); waiting.shift()?.(); },
    pop: (signal) => new Promise((done, failed) => {
      if (items.length) return done(items.shift());
      const wake = () => done(items.shift());
      signal.addEventListener('abort', () => {
        waiting.splice(waiting.indexOf(wake), 1);
        failed(signal.reason);
      });
      return waiting.push(wake);
    }),
  };
};
rule = await begin(() => queue);
assert.deepEqual(await play(rule, { do: 'queue', id: 3, operator: 1, consumer: 4 }), ['configured 3']);
assert.deepEqual(await play(rule, { do: 'pop', id: 5, consumer: 4 }, { do: 'start', id: 5 }), []);
assert.deepEqual(await play(rule, { do: 'cancel', id: 5 }), ['end 5']);
await play(rule, { do: 'pop', id: 6, consumer: 4 }, { do: 'start', id: 6 });
const pushed = await play(rule, { do: 'push', id: 7, queue: 3, ...item(11) }, { do: 'start', id: 7 });
assert.deepEqual(pushed.sort(), ['popped 6', 'pushed 7'].sort());
console.error('streams and queues are told');
process.exit();
