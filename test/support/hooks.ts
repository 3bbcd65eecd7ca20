import { expect } from 'chai';
import mongoose from 'mongoose';
import { testMongoUri } from './mongodb.js';
import { recordScans, scans } from './profiler.js';
import { dbName, inspector, openInspector, tidy } from './world.js';

let mongo: { uri: string; stop(): Promise<void> } | undefined;

export async function mochaGlobalSetup(): Promise<void> {
  mongo = await testMongoUri();
  await openInspector(mongo.uri);
  await recordScans(inspector());
}

export async function mochaGlobalTeardown(): Promise<void> {
  await inspector().dropDatabase();
  await mongoose.disconnect();
  await inspector().close();
  await mongo?.stop();
}

export const mochaHooks = {
  afterEach: tidy,

  /** Every query that the library sends in the whole suite is served by an index. */
  async afterAll(): Promise<void> {
    expect(await scans(inspector()), `queries on ${dbName} that scan a collection`).to.deep.equal([]);
  },
};
