import { expect } from 'chai';
import { runRound } from '../../kit/run.js';
import { connect, emptyWorld, mongoUri } from '../support/world.js';

describe('a round of the kit', () => {
  it('comes to its end also when all is used up long before it', async () => {
    await emptyWorld();
    const connection = await connect(undefined, { appName: 'kit' }); // it looks at whole collections
    const round = { uri: mongoUri(), connection, processes: 1, inFlight: 4, keys: 1, seed: 1 };
    const { violations, outcomes } = await runRound({ ...round, consumptions: 1_000, disturbed: false });
    expect(violations).to.deep.equal([]);
    expect(outcomes.granted).to.be.within(10, 300); // of at most 50 units, some of which were given back
    expect(outcomes.denied).to.be.greaterThan(700);
  });
});
