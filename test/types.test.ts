import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const root = fileURLToPath(new URL('..', import.meta.url));
const native = createRequire(import.meta.url).resolve('@typescript/native/package.json');

/** What the compiler says of the fixtures and the examples, one `file:line TScode` each. */
function diagnostics(): Promise<string[]> {
  const program = join(dirname(native), 'bin', 'tsc');
  const args = [program, '-p', 'test/types', '--pretty', 'false', '--singleThreaded']; // each thread would check Mongoose anew
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { cwd: root, timeout: 60_000 }, (_, stdout, stderr) => {
      if (stderr) reject(new Error(stderr));
      const found = [...stdout.matchAll(/^((?:test|examples)\/[^(]*)\((\d+),\d+\): error (TS\d+)/gm)];
      resolve(found.map(([, file, line, code]) => `${file}:${line} ${code}`));
    });
  });
}

describe('the types', () => {
  it('let right code compile, and each wrong line fail for its own reason', async function () {
    this.timeout(60_000);
    const lines = (await readFile(join(root, 'test/types/wrong.ts'), 'utf8')).split('\n');
    const expected = lines.flatMap((line, index) => {
      const code = /\/\/ (TS\d+)$/.exec(line)?.[1];
      return code ? [`test/types/wrong.ts:${index + 1} ${code}`] : [];
    });
    expect(expected).to.have.length.above(20);
    expect(await diagnostics()).to.deep.equal(expected);
  });
});
