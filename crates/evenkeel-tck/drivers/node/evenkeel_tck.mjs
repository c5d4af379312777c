// Puts a Node library to the rules of evenkeel-tck: the virtual clock and the protocol, so that an adapter is a few lines.
//
// Import it before the library, which may keep `setTimeout` under a name of its own:
//
//     import { Failure, serve } from './evenkeel_tck.mjs';
//     import pRetry from 'p-retry';
//
//     serve({
//       library: 'p-retry', version: '9.0.0', can: ['cancel'], retry: { jitter: 'not in this example' },
//       policy: (settings) => (operation, signal) => pRetry(operation, {
//         retries: settings.max_attempts - 1, minTimeout: settings.initial, maxTimeout: settings.cap,
//         factor: settings.factor ?? 1, shouldRetry: ({ error }) => error.hint !== 'permanent', signal,
//       }),
//     });
//
// Times in settings and errors are milliseconds. Timers are whole milliseconds, as Node's are, and exact in them. Not covered:
// `node:timers/promises`, `AbortSignal.timeout`, worker threads, real input and output. Node 20 and newer; nothing else is needed.

import { createInterface } from 'node:readline';

const MS = 1_000_000;
const LONGEST = 2 ** 31 - 1;
const SPIN = 50_000; // timers without an event and without an end
const turn = setImmediate; // the real one: all promises are done when it is called
const write = process.stdout.write.bind(process.stdout);
const wall = Date.now();

// The output is for lines alone: what a library prints goes to the errors.
process.stdout.write = process.stderr.write.bind(process.stderr);

/** The error of an attempt. `hint` is as in the protocol; `after` is the wait that it asks for, or null. */
export class Failure extends Error {
  constructor(attempt, hint, after) {
    super(`attempt ${attempt}: ${hint}`);
    Object.assign(this, { attempt, hint, after });
  }
}

/** The library has no words for these settings; the text names them. */
export class NotExpressible extends Error {}

/** A call has ended without the error of an attempt, or with a reason. */
export class GaveUp extends Error {
  constructor(last = null, reason = null) {
    super(reason ?? 'gave up');
    Object.assign(this, { last, reason });
  }
}

/** A request is refused: busy, never fits, queue full, deadline or closed. */
export class Denied extends Error {
  constructor(reason = 'busy', retryAfter = null) {
    super(reason);
    Object.assign(this, { reason, retryAfter });
  }
}

export const clock = { now: 0, timers: [], set: 0 };

class Timeout {
  constructor(due, every, run) { Object.assign(this, { due, every, run, number: ++clock.set }); }
  ref() { return this; }
  unref() { return this; }
  hasRef() { return true; }
  close() { clear(this); return this; }
  refresh() {
    this.due = clock.now + this.length;
    if (!clock.timers.includes(this)) clock.timers.push(this);
    return this;
  }
  [Symbol.toPrimitive]() { return this.number; }
  [Symbol.dispose]() { clear(this); }
}

// As Node does it: whole milliseconds, at least one, and one where there are too many.
const length = (delay) => (delay >= 1 && delay <= LONGEST ? Math.trunc(delay) : 1) * MS;

function set(isRepeated, callback, delay, ...args) {
  const time = length(+delay);
  const timer = new Timeout(clock.now + time, isRepeated ? time : 0, () => callback(...args));
  timer.length = time;
  clock.timers.push(timer);
  return timer;
}

function clear(timer) {
  clock.timers = clock.timers.filter((one) => one !== timer && one.number !== Number(timer ?? 0));
}

// The wall clock stands still: it may be set at any time, and no limit is to be measured on it.
const RealDate = Date;
globalThis.Date = class Date extends RealDate {
  constructor(...args) { args.length ? super(...args) : super(Date.now()); }
  static now() { return wall; }
};
Object.defineProperty(performance, 'now', { value: () => clock.now / MS });
process.hrtime = Object.assign(
  ([seconds, nanos] = [0, 0]) => {
    const passed = clock.now - (seconds * 1e9 + nanos);
    return [Math.floor(passed / 1e9), passed % 1e9];
  },
  { bigint: () => BigInt(clock.now) },
);
globalThis.setTimeout = (...args) => set(false, ...args);
globalThis.setInterval = (...args) => set(true, ...args);
globalThis.clearTimeout = globalThis.clearInterval = clear;

// Twice: for the promises, and for what they have left to `setImmediate`.
export async function settle() {
  for (let i = 0; i < 2; i++) await new Promise((done) => turn(done));
}

/** The time of the next timer, in nanoseconds; infinite if there is none. */
export const next = () => clock.timers.reduce((least, timer) => Math.min(least, timer.due), Infinity);

/** Fires the timers that are due at this time, one after another, and lets promises run between them, as Node does. */
export async function fire(due) {
  for (let count = 0; next() <= due; count++) {
    if (count > SPIN) throw new Error(`${SPIN} timers without an end, at ${clock.now} ns`);
    const timer = clock.timers.reduce((a, b) => (b.due - a.due || b.number - a.number) < 0 ? b : a);
    if (timer.every) Object.assign(timer, { due: clock.now + timer.every, number: ++clock.set });
    else clear(timer);
    timer.run();
    await settle();
  }
}

/** Fires one timer after another, each at its time, before `until` or now; stops when something has happened. */
export async function runUntil(until, hasHappened) {
  for (let count = 0; !hasHappened(); count++) {
    const due = next();
    if (due >= until && due > clock.now) break;
    if (count > SPIN) throw new Error(`${SPIN} timers without an event, at ${clock.now} ns`);
    clock.now = Math.max(clock.now, due);
    await fire(clock.now);
  }
  if (!hasHappened()) clock.now = Math.max(clock.now, until);
}

const time = (nanos) => (nanos < 2 ** 53 ? nanos : String(BigInt(nanos)));
const millis = (nanos) => (nanos === null || nanos === undefined ? null : Number(nanos) / MS);
// A time of the library; one below zero, or that is no number, is none.
const nanos = (ms) => (ms > 0 ? time(Math.min(Math.round(ms * MS), 1e28)) : 0);
const said = (error) => `${error?.name ?? 'thrown'}: ${error?.message ?? error}`.slice(0, 300);

const TIMES = new Set([
  'initial', 'cap', 'total_timeout', 'attempt_timeout', 'deadline', 'reset_after', 'max_retry_after', 'stop_after', 'per',
]);

function settingsOf(value) {
  return Object.fromEntries(Object.entries(value).map(([name, member]) => {
    if (TIMES.has(name)) return [name, millis(member)];
    if (name === 'factor' && typeof member === 'string') return [name, Number(member)];
    return [name, member !== null && typeof member === 'object' ? settingsOf(member) : member];
  }));
}

/** Everything that one rule has made. */
class Rule {
  events = [];
  made = new Map();
  waiting = new Map();
  stops = new Map();
  held = new Map();
  answers = new Map();
  cancelled = new Set();
  isOver = false;

  constructor(adapter) {
    this.adapter = adapter;
    Object.assign(clock, { now: 0, timers: [] });
  }

  say(event, members) {
    if (!this.isOver) this.events.push({ event, ...members });
  }

  async play({ at, until, messages }) {
    [at, until] = [Number(at), Number(until)];
    if (at > clock.now) {
      clock.now = at;
      await fire(at - 1);
    }
    for (const message of messages) {
      try {
        await this[message.do](message);
      } catch (error) {
        this.say('broken', { says: `${JSON.stringify(message)}: ${said(error)}` });
      }
      await settle();
    }
    if (!this.isOver) await runUntil(until, () => this.events.length > 0);
  }

  begin() {}

  end() {
    for (const stop of this.stops.values()) stop.abort();
    this.isOver = true;
    clock.timers = [];
  }

  async make({ id, settings }, make) {
    try {
      this.made.set(id, await make(settingsOf(settings)));
      this.say('configured', { id });
    } catch (error) {
      if (error instanceof NotExpressible) this.say('not expressible', { id, says: error.message });
      else this.say('refused', { id, says: said(error) });
    }
  }

  policy(message) { return this.make(message, this.adapter.policy); }
  limiter(message) { return this.make(message, this.adapter.limiter); }

  operation(id) {
    let attempts = 0;
    const responses = new Map();
    const attempt = async () => {
      const number = ++attempts;
      this.say('attempt', { id, attempt: number });
      const { outcome, hint, after } = await new Promise((done) => this.answers.set(`${id}/${number}`, done));
      if (outcome === 'error') throw new Failure(number, hint, millis(after));
      if (outcome === 'response') responses.set(number, { hint, after: millis(after) });
      return number;
    };
    // The `hint` of a response that counts as a failure, and the wait `after` that it asks for; a retry, from the library's
    // hook; the key of the next attempt.
    attempt.judge = (value) => responses.get(value) ?? null;
    attempt.observed = (ms) => this.say('observed', { id, delay: nanos(ms) });
    attempt.keyed = (key) => this.say('keyed', { id, key: String(key) });
    return attempt;
  }

  // A promise begins when it is made: calls and requests begin when they are awaited.
  call({ id, policy }) { this.waiting.set(id, () => this.run(id, policy)); }
  acquire(message) { this.waiting.set(message.id, () => this.ask(message, 'acquire')); }
  reserve(message) { this.waiting.set(message.id, () => this.ask(message, 'reserve')); }
  try(message) { this.ask(message, 'tryAcquire'); }

  start({ id }) {
    this.waiting.get(id)();
    this.waiting.delete(id);
  }

  async run(id, policy) {
    const stop = new AbortController();
    this.stops.set(id, stop);
    try {
      const ok = await this.made.get(policy)(this.operation(id), stop.signal);
      if (Number.isInteger(ok)) this.say('end', { id, ok });
      else this.say('broken', { says: `the value of a call is ${ok}` });
    } catch (error) {
      if (error instanceof Failure) this.say('end', { id, error: error.attempt });
      else if (error instanceof GaveUp) this.say('end', { id, error: error.last?.attempt ?? null, reason: error.reason });
      else if (this.cancelled.has(id)) this.say('end', { id, cancelled: true });
      else this.say('broken', { says: `a call ends by ${said(error)}` });
    }
  }

  async ask({ id, limiter, permits, key, deadline }, how) {
    const stop = new AbortController();
    this.stops.set(id, stop);
    try {
      const options = { key, deadline: millis(deadline), signal: stop.signal };
      this.held.set(id, await this.made.get(limiter)[how](permits, options));
      this.say('granted', { id });
    } catch (error) {
      if (error instanceof Denied) {
        const after = error.retryAfter === null ? null : nanos(error.retryAfter);
        this.say('denied', { id, reason: error.reason, retry_after: after });
      } else if (this.cancelled.has(id)) this.say('end', { id, cancelled: true });
      else this.say('broken', { says: `a request ends by ${said(error)}` });
    }
  }

  cancel({ id }) {
    this.cancelled.add(id);
    if (this.waiting.delete(id)) this.say('end', { id, cancelled: true });
    else if (this.held.has(id)) this.release({ id });
    else this.stops.get(id)?.abort();
  }

  result(message) {
    const answer = this.answers.get(`${message.id}/${message.attempt}`);
    this.answers.delete(`${message.id}/${message.attempt}`);
    answer(message);
  }

  release({ id }) {
    const held = this.held.get(id);
    this.held.delete(id);
    if (typeof held === 'function') held();
  }

  settle({ id, used }) {
    this.held.get(id)(used);
    this.held.delete(id);
  }

  change({ limiter, ...change }) {
    for (const name of ['rate', 'burst', 'limit', 'refund', 'penalty', 'close']) {
      const value = change[name] ?? null;
      if (value === null) continue;
      this.made.get(limiter).change(name, name === 'rate' ? settingsOf(value) : name === 'penalty' ? millis(value) : value);
    }
  }

  keys({ id, limiter }) { this.say('keys', { id, keys: this.made.get(limiter).keys() }); }
}

/**
 * Answers the suite until it closes the input.
 *
 * `retry` and `limit` are the capabilities, by their names, each with true or with the reason for which there is none. A policy is
 * made by `policy(settings)`, or by a promise of it: a function of an operation and an `AbortSignal`, which returns a promise. A limiter is made by
 * `limiter(settings)`: an object with those of `acquire(permits, { key, deadline, signal })`, `tryAcquire`, `reserve`,
 * `change(name, value)` and `keys()` that it supports. Granted permits are a function that gives them back, or anything else; a
 * refusal throws `Denied`. `can` is `['cancel']` if the library takes the signal.
 */
export async function serve({ library, version, can = [], retry, limit, policy, limiter }) {
  const hello = {
    event: 'hello', protocol: 1, library, version, runtime: `Node ${process.versions.node}`, can,
    ...(retry && { retry }), ...(limit && { limit }),
  };
  let rule = new Rule({ policy, limiter });
  // A promise that nobody awaits is the library's affair, and not the end of the adapter.
  process.on('unhandledRejection', (error) => console.error('unhandled:', said(error)));
  process.on('uncaughtException', (error) => console.error('uncaught:', said(error)));
  for await (const text of createInterface({ input: process.stdin })) {
    const line = JSON.parse(text);
    const first = line.messages[0]?.do;
    let { at } = line, events = [hello];
    if (first !== 'hello') {
      if (first === 'begin') rule = new Rule({ policy, limiter });
      try {
        await rule.play(line);
      } catch (error) {
        rule.say('failed', { says: error.message });
      }
      [at, events, rule.events] = [time(clock.now), rule.events, []];
    }
    write(JSON.stringify({ turn: line.turn, at, events }) + '\n');
  }
  process.exit();
}
