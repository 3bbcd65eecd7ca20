import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { AssertionError, expect } from 'chai';
import { connect, emptyWorld } from '../support/world.js';
import { type Engine, engineIn } from './engine.js';
import { type Change, haste, rules as ofCounting } from './rules.js';
import { scenarios as counting } from './scenarios.js';
import { rules as ofWays } from './ways-rules.js';
import { scenarios as ways } from './ways-scenarios.js';

const scenarios = { ...counting, ...ways };
const rules = [...ofCounting, ...ofWays];

const root = fileURLToPath(new URL('../..', import.meta.url));
const copies: string[] = [];

/** The engine in a copy of lib, with these texts replaced. */
async function engineWith(changes: readonly Change[]): Promise<Engine> {
  await mkdir(`${root}/.data`, { recursive: true });
  const folder = await mkdtemp(`${root}/.data/rules-`);
  copies.push(folder);
  await cp(`${root}/lib`, `${folder}/lib`, { recursive: true });
  for (const { file, text, without } of changes) {
    const path = `${folder}/lib/quota/${file}.ts`;
    const [before, after, ...more] = (await readFile(path, 'utf8')).split(text);
    if (after === undefined || more.length > 0)
      throw new Error(`${file}.ts does not have this once: ${text}`);
    await writeFile(path, `${before}${without}${after}`);
  }
  return engineIn(folder);
}

describe('the rules of the quota engine', () => {
  let original: Engine;

  before(async () => {
    original = await engineWith(haste);
  });

  after(async () => {
    for (const folder of copies.splice(0)) await rm(folder, { recursive: true });
  });

  const shown = new Set(rules.map(({ shows }) => shows));
  for (const name of shown) {
    it(`see to it that ${name}`, async () => {
      await emptyWorld();
      await scenarios[name](original, await connect());
    });
  }

  for (const { rule, shows, ...change } of rules) {
    it(`need this one: ${rule}`, async () => {
      const engine = await engineWith([...haste, change]);
      await emptyWorld();
      const failure = await scenarios[shows](engine, await connect()).then(
        () => undefined,
        (error) => error,
      );
      const said = `without it this should fail, and not for another reason: ${shows}`;
      expect(failure, said).to.be.instanceOf(AssertionError); // no mistake of the copy, and no refusal that nobody expected
    });
  }
});
