import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { inexact } from '../../kit/check.js';
import { atEnd } from '../support/world.js';
import { type Storm, writeResult } from './result.js';

const outcomes = { granted: 1_500, denied: 400, refused: 90, unknown: 10 };
const storm: Storm = {
  title: 'are exact',
  seconds: 12.3,
  outcomes,
  leaked: 0,
  writes: 700,
  changes: { done: 8, refused: 1 },
  violations: [],
};

async function resultOf(storms: readonly Storm[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'koa-tollgate-'));
  atEnd(() => rm(folder, { recursive: true }));
  const path = join(folder, 'RESULT.md');
  await writeResult(path, { seed: 7, factor: 50 }, storms);
  return readFile(path, 'utf8');
}

describe('the result of the long storms', () => {
  it('tells of each storm and of all together, and how to repeat them', async () => {
    const text = await resultOf([storm, { ...storm, title: 'are granted', leaked: 6 }]);
    expect(text).to.include('SEED=7 STORM_FACTOR=50').and.include('4,000 consumptions in 2 storms');
    expect(text).to.include('| are granted | 2,000 | 1,500 | 400 | 90 | 10 | 700 | 8 | 6 | 12 |');
    expect(text).to.include('| **all** | 4,000 | 3,000 | 800 | 180 | 20 | 1,400 | 16 | 6 | 24 |');
    expect(text).not.to.include('VIOLATIONS');
  });

  it('says what was wrong', async () => {
    const text = await resultOf([{ ...storm, violations: ['user:a: rose to 11 above 10'] }]);
    expect(text).to.include('**VIOLATIONS**').and.include('- are exact: user:a: rose to 11 above 10');
  });
});

describe('the totals of undisturbed consumptions', () => {
  it('are wrong by a single unit, and tell nothing where many outcomes are unknown', () => {
    const allKnown = { ...outcomes, unknown: 0 };
    expect(inexact({ outcomes: allKnown, leaked: 0 })).to.deep.equal([]);
    expect(inexact({ outcomes: allKnown, leaked: 1 })).to.deep.equal([
      '1 units leaked where nothing crashed',
    ]);
    expect(inexact({ outcomes: { ...outcomes, unknown: 20 }, leaked: 3 })).to.deep.equal([]);
    const [said] = inexact({ outcomes: { ...outcomes, unknown: 21 }, leaked: 0 });
    expect(said).to.include('21 of 2011 consumptions have no known outcome');
  });
});
