import { setImmediate } from 'node:timers/promises';
import { inspect } from 'node:util';
import { expect } from 'chai';

/** Rejections that nobody has handled, with the test in which they came, or the one after: they would end the process of an application, and the runner says nothing of them. */
const met = new Map<unknown, string>();
let title = 'no test yet';

const note = (reason: unknown, promise: unknown) => met.set(promise, `${title}: ${inspect(reason)}`); // the runner tells of each twice

export const mochaHooks = {
  beforeAll(): void {
    process.on('unhandledRejection', note);
  },

  beforeEach(this: Mocha.Context): void {
    title = this.currentTest?.fullTitle() ?? title;
  },

  /** At the end, for a hook that fails after a test would keep all other tests from running. */
  async afterAll(): Promise<void> {
    await setImmediate(); // Node.js looks for them when the microtasks are done
    process.off('unhandledRejection', note);
    expect([...met.values()], 'rejections that nobody has handled').to.deep.equal([]);
  },
};
