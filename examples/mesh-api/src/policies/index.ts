export { PolicyEngine } from './engine.ts'
export { type PolicyRules, type Problem, readRules, rulesOf } from './rules.ts'
