// Puts a test kit of Node to the rules of evenkeel-tck: programs under test and the protocol, so that an adapter is a few lines.
//
// One file on purpose: it is copied beside the adapter.
//
//     import FakeTimers from '@sinonjs/fake-timers';
//     import { serve } from './evenkeel_tck_kit.mjs';
//
//     let clock;
//     serve({
//       library: '@sinonjs/fake-timers', version: '15.5.0', testkit: { 'moves by hand': true, 'leaks': 'timers are dropped' },
//       async run(test) {
//         clock = FakeTimers.install();
//         try { await test(); } finally { clock.uninstall(); }
//       },
//       controls: { move: (ms) => clock.tickAsync(ms) },
//     });
//
// `run(test)` runs the function `test` as the kit's users run theirs, and throws where the kit fails the test. Nothing of the runtime is
// replaced here: programs use `setTimeout`, `setInterval` and `Date` as they find them. Node 20 and newer; nothing else is needed.

import { createServer, connect } from 'node:net';
import { createInterface } from 'node:readline';
import { Worker } from 'node:worker_threads';

const MS = 1_000_000;
const write = process.stdout.write.bind(process.stdout);

// A thread that sleeps for a real time.
const blocked = (time) => new Worker(
  'const { workerData } = require("node:worker_threads"); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, workerData)',
  { eval: true, workerData: millis(time) },
);

// The output is for lines alone: what a library prints goes to the errors.
process.stdout.write = process.stderr.write.bind(process.stderr);

/** The kit has no words for a step or for the settings; the text names them. */
export class NotExpressible extends Error {}

/** This driver does not know a step, which is no finding about the kit. */
class UnknownStep extends Error {}

/** A task was cancelled. */
class Cancelled extends Error {}

const millis = (nanos) => Number(nanos) / MS;
const said = (error) => `${error?.name ?? 'thrown'}: ${error?.message ?? error}`.slice(0, 300);

/** A program under test. A task that is cancelled ends at its next step, or in the wait that it is in. */
export class Program {
  // The events of the turn that they come in: a program may outlive its own.
  static events = [];

  constructor(controls, now) { Object.assign(this, { controls, now, start: now(), tasks: new Map() }); }

  say(event, members) {
    Program.events.push({ event, time: Math.max(0, Math.round((this.now() - this.start) * MS)), ...members });
  }

  // Waits for a promise, or for the cancelling of the task.
  until(begin, stop) {
    return new Promise((done, failed) => {
      const cancelled = () => failed(new Cancelled());
      if (stop.signal.aborted) return cancelled();
      stop.signal.addEventListener('abort', cancelled);
      const then = (end) => (value) => { stop.signal.removeEventListener('abort', cancelled); end(value); };
      begin(then(done), then(failed));
    });
  }

  /** Before the test: an error within it may be lost with its task, or be taken for one of the kit. */
  static check(steps) {
    for (const step of steps) {
      if (step.do !== 'keep' && !STEPS.has(method(step))) throw new UnknownStep(`a program has no step "${step.do}"`);
      Program.check(step.program ?? []);
    }
  }

  async run(steps, stop) {
    let kept = 0;
    try {
      for (const step of steps) {
        if (stop.signal.aborted) throw new Cancelled();
        if (step.do === 'keep') kept += 1;
        else await this[method(step)](step, stop);
      }
    } finally {
      for (; kept > 0; kept -= 1) this.say('dropped');
    }
  }

  note({ number }) { this.say('noted', { number }); }

  sleep({ time }, stop) {
    let timer;
    return this.until((done) => { timer = setTimeout(done, millis(time)); }, stop).finally(() => clearTimeout(timer));
  }

  async yield({ times }) { for (let i = 0; i < times; i += 1) await null; }

  async ticks({ every, count }, stop) {
    let timer;
    await this.until((done) => {
      let number = 0;
      const tick = () => {
        this.say('tick', { number });
        number += 1;
        if (number === count) done();
      };
      tick();
      timer = setInterval(tick, millis(every));
    }, stop).finally(() => clearInterval(timer));
  }

  spawn({ task, program }) {
    const stop = new AbortController();
    this.tasks.set(task, { stop, ended: this.run(program, stop) });
  }

  async join({ task }, stop) {
    const { ended } = this.tasks.get(task);
    try {
      await this.until((done, failed) => ended.then(done, failed), stop);
    } catch (error) {
      if (error instanceof Cancelled && stop.signal.aborted) throw error;
      this.say('panicked', { task });
    }
  }

  async abort({ task }) {
    const { stop, ended } = this.tasks.get(task);
    stop.abort();
    await ended.catch(() => {});
  }

  async timeout({ time, program }, outer) {
    const stop = new AbortController();
    outer.signal.addEventListener('abort', () => stop.abort());
    let isOver = false;
    const timer = setTimeout(() => { isOver = true; stop.abort(); }, millis(time));
    try {
      await this.run(program, stop);
    } catch (error) {
      if (!isOver) throw error;
      this.say('timed out');
    } finally {
      clearTimeout(timer);
    }
  }

  // A call that blocks is one in another thread.
  blocking({ time }, stop) { return this.until((done) => blocked(time).on('exit', done), stop); }
  thread(step, stop) { return this.blocking(step, stop); }
  left_blocking({ time }) { blocked(time).on('exit', () => this.say('blocking ended')); }

  loopback({ bytes }, stop) {
    return this.until((done, failed) => {
      const server = createServer((socket) => socket.pipe(socket));
      server.listen(0, '127.0.0.1', () => {
        let left = bytes;
        const client = connect(server.address().port, '127.0.0.1', () => client.end(Buffer.alloc(bytes)));
        client.on('error', failed);
        client.on('data', (data) => {
          left -= data.length;
          if (left > 0) return;
          server.close();
          done();
        });
      });
    }, stop);
  }

  wait(_, stop) { return this.until(() => {}, stop); }

  // Other threads of the process count, too, and have little to do.
  compute({ time }) {
    const start = process.cpuUsage();
    const computed = () => { const { user, system } = process.cpuUsage(start); return (user + system) / 1000; };
    while (computed() < millis(time));
  }

  block() { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); }
  panic({ text }) { throw new Error(text); }
  move({ time }) { return this.controls.move(millis(time)); }
  hold() { this.held = this.controls.hold(); }
  release() { this.held(); }
  settle() { return this.controls.settle(); }
}

const method = (step) => step.do.replaceAll(' ', '_');
const STEPS = new Set(Object.getOwnPropertyNames(Program.prototype));
for (const own of ['constructor', 'say', 'until', 'run']) STEPS.delete(own);

/**
 * Answers the suite until it closes the input.
 *
 * `testkit` has the capabilities, by their names, each with true or with the reason for which there is none. `controls` has those of
 * `move(ms)`, `hold()`, which returns the function that lets the clock go, and `settle()` that the kit has; `now()` is the time of the kit's
 * clock in milliseconds, `Date.now` if there is no other. `settings(settings)` is called before each test, and may throw `NotExpressible`.
 */
export async function serve({ library, version, testkit, run, controls = {}, now = () => Date.now(), settings = () => {} }) {
  const hello = {
    event: 'hello', protocol: 1, library, version, runtime: `Node ${process.versions.node}`, can: [], testkit,
  };
  // A promise that nobody awaits fails a test where the kit says so, and is not the end of the adapter.
  process.on('unhandledRejection', (error) => console.error('unhandled:', said(error)));
  process.on('uncaughtException', (error) => console.error('uncaught:', said(error)));
  for await (const text of createInterface({ input: process.stdin })) {
    const line = JSON.parse(text);
    for (const message of line.messages) {
      if (message.do === 'hello') Program.events.push(hello);
      if (message.do !== 'test') continue;
      try {
        Program.check(message.program);
        settings(message.settings);
        await run(() => new Program(controls, now).run(message.program, new AbortController()));
        Program.events.push({ event: 'tested' });
      } catch (error) {
        if (error instanceof NotExpressible) Program.events.push({ event: 'not expressible', says: error.message });
        else if (error instanceof UnknownStep) Program.events.push({ event: 'broken', says: error.message });
        else Program.events.push({ event: 'tested', failed: said(error) });
      }
    }
    const told = Program.events;
    Program.events = [];
    write(JSON.stringify({ turn: line.turn, at: line.at, events: told }) + '\n');
  }
  process.exit();
}
