import Joi from 'joi';

/** Who does something: a user, who gives and takes nothing that they lack, or the application, which may do anything. */
export interface Actor {
  /** The id of the user. Default: the application. */
  actor?: string | undefined;
  /** Of the API key by which the user asks: it gives and takes nothing beyond them either. Default: none, no restriction. */
  scopes?: readonly string[] | undefined;
}

/** The same for services that validate what they are given. */
export const actorFields = { actor: Joi.string(), scopes: Joi.array().items(Joi.string()) };
