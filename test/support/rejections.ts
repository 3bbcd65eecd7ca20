import { atEnd } from './world.js';

/** Rejections that nobody handles from now on: they would end the process of an application, and the runner says nothing of them. */
export function watchRejections(): unknown[] {
  const met: unknown[] = [];
  const note = (reason: unknown) => void met.push(reason);
  process.on('unhandledRejection', note);
  atEnd(async () => void process.off('unhandledRejection', note));
  return met;
}
