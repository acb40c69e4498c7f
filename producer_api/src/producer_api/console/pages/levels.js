/** The lowest probabilities of the risk levels, as the API's contracts say them. */
export const MEDIUM_FROM = 0.3;
export const HIGH_FROM = 0.6;
