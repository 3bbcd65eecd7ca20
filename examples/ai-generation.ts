import { timingSafeEqual } from 'node:crypto';
import { Readable } from 'node:stream';
import Router from '@koa/router';
import Joi from 'joi';
import Koa from 'koa';
import {
  authenticate,
  authRouter,
  body,
  commitReservation,
  endpoint,
  grantCredits,
  optionsFromEnv,
  problems,
  quota,
  ready,
  reserveQuota,
  startWorker,
  syncPlans,
  usageOf,
} from 'koa-tollgate';
import mongoose from 'mongoose';

await mongoose.connect(process.env.MONGODB_URI ?? 'mongodb://127.0.0.1/app?replicaSet=rs0');
const shared = optionsFromEnv(process.env);
await ready(shared);

await syncPlans({
  plans: {
    hobby: {
      name: 'Hobby',
      tier: 0,
      default: true,
      features: {
        images: { limit: 3, per: 'month' },
        tokens: { limit: 1_000, per: 'month' },
        videos: { credits: 20 }, // there are none in the plan: they are bought
      },
    },
  },
});

const api = new Router({ prefix: '/api' });
const signedIn = authenticate(shared);

// An image is one unit, taken before the handler runs and given back when it fails.
api.post(
  '/images',
  endpoint(signedIn, quota('images'), function image(ctx) {
    ctx.status = 201;
    ctx.body = { image: 'https://images.example/1.png', remaining: ctx.state.quota.images.remaining };
  }),
);

const longest = 600; // tokens of an answer: where the model stops

// What an answer costs is known when it has been streamed: the most that it may cost is held meanwhile.
api.post(
  '/chat',
  endpoint(body({ prompt: Joi.string().max(1_000) }), signedIn, async function chat(ctx) {
    const subject = { type: 'user', id: ctx.state.user.id } as const;
    const { id } = await reserveQuota({ subject, feature: 'tokens', amount: longest });
    ctx.type = 'text/plain';
    ctx.body = Readable.from(paidFor(id, model(ctx.request.body.prompt, longest)));
  }),
);

/** Pays for the tokens that were made, also when the client hangs up; of an answer that nobody began to read the hold expires. */
async function* paidFor(id: string, answer: AsyncIterable<string>): AsyncGenerator<string> {
  let tokens = 0;
  try {
    for await (const token of answer) {
      tokens += 1;
      yield token;
    }
  } finally {
    await commitReservation({ id, amount: tokens });
  }
}

/** In place of a model: says everything twice, `most` tokens of it. */
async function* model(prompt: string, most: number): AsyncGenerator<string> {
  for (const word of `${prompt} ${prompt}`.split(' ').slice(0, most)) yield `${word} `;
}

// A video costs 20 credits.
api.post(
  '/videos',
  endpoint(signedIn, quota('videos'), function video(ctx) {
    ctx.status = 202;
    ctx.body = { credits: ctx.state.quota.videos.remaining };
  }),
);

api.get(
  '/usage',
  endpoint(signedIn, async function usage(ctx) {
    ctx.body = { items: await usageOf({ subject: { type: 'user', id: ctx.state.user.id } }) };
  }),
);

const isProvider = (given: string): boolean => {
  const [secret, other] = [process.env.WEBHOOK_SECRET ?? '', given].map((text) => Buffer.from(text));
  return (
    secret?.length !== 0 &&
    secret?.length === other?.length &&
    timingSafeEqual(secret as Buffer, other as Buffer)
  );
};

// The payment provider may tell of a payment any number of times: it is granted once.
api.post(
  '/payments',
  endpoint(
    body({
      payment: Joi.string().max(100),
      user: Joi.string().max(100),
      credits: Joi.number().integer().min(1),
    }),
    async function paid(ctx) {
      if (!isProvider(ctx.get('X-Webhook-Secret'))) ctx.throw(401);
      const { payment: id, user, credits: amount } = ctx.request.body;
      await grantCredits({ subject: { type: 'user', id: user }, feature: 'credits', amount, id });
      ctx.status = 204;
    },
  ),
);

// Holds that were never settled go back, and somebody hears of those who have used up most of what they have.
await startWorker({
  ...shared,
  onThreshold: ({ subject, feature, threshold }) =>
    console.log(`${subject.type} ${subject.id} has used ${threshold} % of ${feature}`),
});

const app = new Koa();
app.use(problems());
app.use(authRouter(shared).routes());
app.use(api.routes()).use(api.allowedMethods());
app.listen(process.env.PORT ?? 3000);
