import type { Connection } from 'mongoose';
import { organizationId } from './seed.js';

/** A tour of the demo, to be pasted line by line: what each does, and the status that it answers. */
export async function curlLines(origin: string, connection: Connection): Promise<string> {
  const [acme, globex] = await Promise.all(
    ['acme', 'globex'].map((slug) => organizationId(connection, slug)),
  );
  const json = `-H 'Content-Type: application/json'`;
  const cookies = '-b cookies.txt';
  const search = (amount: number) =>
    `curl -i ${cookies} ${json} -d '{"amount":${amount}}' ${origin}/api/searches`;
  return [
    ['Sign in as Ada; the session goes to cookies.txt', 200, `curl -i -c cookies.txt ${json} -d '{"email":"ada@example.com","password":"lovelace-1815"}' ${origin}/auth/sign-in`],
    ['Be let in', 200, `curl -i ${cookies} -H 'X-Organization-Id: ${acme}' ${origin}/api/me`],
    ['Be refused by role: Ada is no admin', 403, `curl -i ${cookies} ${origin}/api/admin`],
    ['Read the reports of Acme, which is on the plan pro', 200, `curl -i ${cookies} -H 'X-Organization-Id: ${acme}' ${origin}/api/reports`],
    ['Be refused by entitlement: Globex is on the plan free', 403, `curl -i ${cookies} -H 'X-Organization-Id: ${globex}' ${origin}/api/reports`],
    ['Use up the searches of today (429 when they are used up already)', 200, search(1000)],
    ['Be refused by an exhausted quota', 429, search(1)],
    ['Sign out', 204, `curl -i ${cookies} -X POST ${origin}/auth/sign-out`],
  ].map(([what, status, line]) => `# ${what} -> ${status}\n${line}\n`).join('\n'); // biome-ignore format: a table
}
