import { isAccessToken } from '../../runtime/access-tokens.js';

/** An API key; or a refresh token, a challenge, a link: what begins with an id of ours. */
const shape = /^(tg_[0-9a-z]{8}_|[0-9a-f]{24}\.)/;

/** Whether `token` is written like one of ours, genuine or not: such a one is shown to nobody else. */
export const isOurToken = (token: string): boolean => shape.test(token) || isAccessToken(token);
