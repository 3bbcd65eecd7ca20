import { readdir, readFile } from 'node:fs/promises';
import { expect } from 'chai';
import { errorCodes } from '../lib/index.js';

const read = (path: string) => readFile(new URL(`../${path}`, import.meta.url), 'utf8');
const list = async (folder: string, ending: string) =>
  (await readdir(new URL(`../${folder}`, import.meta.url)))
    .filter((name) => name.endsWith(ending))
    .map((name) => `${folder}/${name}`);

const squeeze = (code: string) => code.replaceAll(/\s+/g, ' ').trim();

describe('the documents', () => {
  it('show no code that does not stand in an example, all of which the tests run', async () => {
    const examples = await Promise.all((await list('examples', '.ts')).map(read));
    for (const page of ['README.md', ...(await list('docs', '.md'))]) {
      for (const [, code = ''] of (await read(page)).matchAll(/```ts\n(.*?)```/gs)) {
        const found = examples.some((example) => squeeze(example).includes(squeeze(code)));
        expect(found, `${page} shows code that no example has:\n${code}`).to.equal(true);
      }
    }
  });

  it('link to pages that exist', async () => {
    for (const page of ['README.md', ...(await list('docs', '.md'))]) {
      for (const [, link = ''] of (await read(page)).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)) {
        await read(new URL(link, `file:///${page}`).pathname.slice(1));
      }
    }
  });

  it('list every code with its status', async () => {
    const rows = [...(await read('docs/errors.md')).matchAll(/^\| (\d{3}) \| `(\w+)` \|/gm)];
    const listed = Object.fromEntries(rows.map(([, status, code]) => [code, Number(status)]));
    const codes = Object.entries(errorCodes).map(([code, { status }]) => [code, status]);
    expect(listed).to.deep.equal(Object.fromEntries(codes));
  });

  it('name tests that exist', async () => {
    const rows = [...(await read('docs/parity.md')).matchAll(/\| `([\w/-]+)` › (.+) \|$/gm)];
    expect(rows.length).to.be.greaterThan(30);
    for (const [, file, title = ''] of rows) {
      expect(await read(`test/${file}.test.ts`), `docs/parity.md names a test of ${file}`).to.include(title);
    }
  });
});
