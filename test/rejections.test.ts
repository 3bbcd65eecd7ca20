import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';

const root = fileURLToPath(new URL('..', import.meta.url));

describe('a run of tests', () => {
  it('fails by a rejection that nobody handles, and names the test, though all of them pass', async () => {
    const mocha = ['node_modules/mocha/bin/mocha.js', '--no-config', '--node-option', 'import=tsx'];
    const args = [...mocha, '--require', 'test/support/rejections.ts', 'test/support/rejecting.ts'];
    const failed = await promisify(execFile)(process.execPath, args, { cwd: root }).catch((error) => error);
    expect(failed.code).to.equal(1);
    expect(failed.stdout).to.include('2 passing').and.to.include('1 failing');
    expect(failed.stdout).to.match(/the code under test forgets a promise: Error: nobody hears of this/);
    expect(failed.stdout).not.to.include('somebody does');
  });
});
