// The steps of a program under test, on Node itself: no time passes but that of the machine: `node test_kit.mjs`.
import { strict as assert } from 'node:assert';
import { spawn as start } from 'node:child_process';
import { once } from 'node:events';
import { Program } from './evenkeel_tck_kit.mjs';

const withoutTime = ({ time, ...event }) => event;

/** The events of a program, without their times. */
async function events(...steps) {
  Program.events = [];
  await new Program({}, () => Date.now()).run(steps, new AbortController());
  return Program.events.map(withoutTime);
}

const note = (number) => ({ do: 'note', number });
const noted = (number) => ({ event: 'noted', number });
const yields = (times) => ({ do: 'yield', times });
const spawn = (task, ...program) => ({ do: 'spawn', task, program });
const [join, abort] = ['join', 'abort'].map((name) => (task) => ({ do: name, task }));

// Tasks run beside the test, and are joined.
assert.deepEqual(await events(spawn(7, yields(20), note(1)), note(2), join(7), note(3)), [noted(2), noted(1), noted(3)]);

// A task that fails is told by its join, and a test that fails by its error.
assert.deepEqual(await events(spawn(7, { do: 'panic', text: 'no' }), join(7)), [{ event: 'panicked', task: 7 }]);
await assert.rejects(events({ do: 'panic', text: 'no' }), /no/);

// What a task keeps is dropped when it is aborted, and when it ends.
const kept = await events(spawn(7, { do: 'keep' }, { do: 'wait' }), yields(1), abort(7), note(1));
assert.deepEqual(kept, [{ event: 'dropped' }, noted(1)]);
assert.deepEqual(await events({ do: 'keep' }, note(1)), [noted(1), { event: 'dropped' }]);

// Intervals and time-outs.
const ticks = [0, 1, 2].map((number) => ({ event: 'tick', number }));
assert.deepEqual(await events({ do: 'ticks', every: 1_000_000, count: 3 }), ticks);
const late = { do: 'timeout', time: 1_000_000, program: [{ do: 'wait' }] };
assert.deepEqual(await events(late, { do: 'timeout', time: 1e12, program: [] }), [{ event: 'timed out' }]);

// Threads and sockets are waited for.
const waits = [{ do: 'blocking', time: 1000 }, { do: 'thread', time: 1000 }, { do: 'loopback', bytes: 100_000 }];
assert.deepEqual(await events(...waits, note(1)), [noted(1)]);

// A task computes for its time, and no other one runs meanwhile.
const begun = process.cpuUsage();
const beside = spawn(7, { do: 'sleep', time: 1_000_000 }, note(2));
assert.deepEqual(await events(beside, { do: 'compute', time: 20_000_000 }, note(1), join(7)), [noted(1), noted(2)]);
const { user, system } = process.cpuUsage(begun);
assert(user + system >= 20_000);

/** An adapter that is asked to run these tests; it says `begins` before each. */
function adapter(...programs) {
  const kit = JSON.stringify(new URL('evenkeel_tck_kit.mjs', import.meta.url).href);
  const run = 'async run(test) { console.error("begins"); await test(); }';
  const code = `import { serve } from ${kit}; serve({ library: 'node', version: '1', testkit: {}, ${run} });`;
  const child = start(process.execPath, ['--input-type=module', '-e', code]);
  programs.forEach((program, turn) => {
    const messages = [{ do: 'test', id: 1, settings: {}, program }];
    child.stdin.write(`${JSON.stringify({ turn, at: 0, messages })}\n`);
  });
  child.stdin.end();
  return child;
}

// A test is answered, and a step that is not known breaks the adapter, wherever it stands.
const sings = [{ do: 'sing' }];
const child = adapter([note(1)], [{ do: 'panic', text: 'no' }], sings, [note(1), spawn(7, ...sings)], [{ do: 'say' }]);
let text = '';
for await (const part of child.stdout) text += part;
const broken = (step) => [{ event: 'broken', says: `a program has no step "${step}"` }];
assert.deepEqual(text.trim().split('\n').map((line) => JSON.parse(line).events.map(withoutTime)), [
  [noted(1), { event: 'tested' }], [{ event: 'tested', failed: 'Error: no' }], broken('sing'), broken('sing'), broken('say'),
]);

// A thread is blocked for good: by a wait without a limit, which does not end at once.
const { wait } = Atomics;
Atomics.wait = (array, index, value, limit) => { throw new Error(`${wait(array, index, value, 0)} within ${limit}`); };
await assert.rejects(events(note(1), { do: 'block' }, note(2)), { message: 'timed-out within undefined' });
assert.deepEqual(Program.events.map(withoutTime), [noted(1)]);
Atomics.wait = wait;

// So the process does not end by itself.
const blocked = adapter([{ do: 'block' }]);
await once(blocked.stderr, 'data');
setTimeout(() => blocked.kill('SIGKILL'), 200);
assert.deepEqual(await once(blocked, 'exit'), [null, 'SIGKILL']);
console.error('the steps of a program are carried out');
process.exit();
