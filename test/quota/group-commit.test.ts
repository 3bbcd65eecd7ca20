import { expect } from 'chai';
import { commitTogether, type Demand } from '../../lib/quota/group-commit.js';
import { connect, emptyWorld } from '../support/world.js';
import { counterOf, termsOf } from './engine.js';

describe('members of a group who know of different entitlements', () => {
  it('are all counted by the newest, of each counter', async () => {
    await emptyWorld();
    const connection = await connect();
    const [pages, tokens] = ['pages', 'tokens'].map((f) => ({ s: 'user:one', f })) as [Demand['key'], Demand['key']]; // biome-ignore format: one line
    const member = (terms: Demand['terms']) =>
      commitTogether(connection, {
        demands: [pages, tokens].map((key) => ({ key, terms, amount: 8 })),
        writes: [],
      });
    const stale = termsOf(10, 1);
    const newer = termsOf(10, 2, { overage: 10 });
    await member(newer);
    const results = await Promise.all([member(stale), member(newer)]);
    const granted = results.filter((result) => result.granted).length;
    const { u, o = 0 } = await counterOf(connection, tokens);
    expect([granted, u + o]).to.deep.equal([1, 16]);
  });
});
