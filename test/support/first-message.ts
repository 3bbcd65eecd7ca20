import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** What a child process tells first; rejects when it ends before that, for then nobody would wait for anything. */
export async function firstMessage(child: ChildProcess): Promise<unknown> {
  const ended = once(child, 'exit').then(([code, signal]) => {
    const program = child.spawnargs.find((argument) => argument.endsWith('.ts'));
    throw new Error(`${program} has ended with ${code ?? signal}`);
  });
  const [message] = await Promise.race([once(child, 'message'), ended]);
  return message;
}
