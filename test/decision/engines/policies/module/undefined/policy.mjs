export default function evaluate(input) {
  return input.model === 'tiny' ? { allow: true } : {};
}
