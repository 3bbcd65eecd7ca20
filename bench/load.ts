import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { Answers, Load } from './load-process.js';

/** Sends requests from a process of its own, so that sending them does not slow down who answers. */
export class LoadMaker {
  readonly #process: ChildProcess = fork(new URL('./load-process.ts', import.meta.url), {
    execArgv: ['--import', 'tsx'],
  });

  constructor() {
    this.#process.on('exit', () => {
      throw new Error('The load maker has ended');
    });
  }

  /** Sends `requests` over kept-alive connections, each waiting for its answer; gives the number of each status. */
  async send(load: Load): Promise<Answers> {
    this.#process.send(load);
    const [answers] = (await once(this.#process, 'message')) as [Answers];
    return answers;
  }

  stop(): void {
    this.#process.removeAllListeners('exit');
    this.#process.disconnect();
  }
}
