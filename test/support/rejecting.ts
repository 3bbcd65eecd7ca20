/** What a run must fail by, though every test of it passes: `rejections.test.ts` runs it. */
describe('the code under test', () => {
  it('forgets a promise', () => {
    void Promise.reject(new Error('nobody hears of this'));
  });

  it('handles another one', async () => {
    await Promise.reject(new Error('somebody does')).catch(() => {});
  });
});
