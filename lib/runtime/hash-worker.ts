import bcrypt from 'bcryptjs';

export type HashJob = { password: string; cost: number } | { password: string; hash: string };

/** Runs in a worker thread: hashes a password at `cost`, or compares it with `hash`. */
export function work(job: HashJob): string | boolean {
  return 'hash' in job ? bcrypt.compareSync(job.password, job.hash) : bcrypt.hashSync(job.password, job.cost);
}
