import { setTimeout } from 'node:timers';

/** Does `work` again and again until it is stopped; it says after how many milliseconds, and must not throw. */
export function keepDoing(work: (isStopped: () => boolean) => Promise<number>): { stop(): Promise<void> } {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const isStopped = () => stopped;
  let running = run();

  async function run(): Promise<void> {
    const pause = await work(isStopped);
    if (stopped) return;
    timer = setTimeout(() => {
      running = run();
    }, pause);
  }

  return {
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
