/** The models that the practice upstream claims to have: itself, under names that people try first. */
import { createHash } from 'node:crypto';

const names: readonly string[] = ['practice:latest', 'llama3.2:latest', 'qwen3:latest'];

/** Whether Ollama would find one of them under this name: in any case, with or without its own host, namespace and tag. */
export function isKnownModel(model: string): boolean {
  const short = model
    .toLowerCase()
    .replace(/^registry\.ollama\.ai\/library\//, '')
    .replace(/^library\//, '');
  return names.includes(short.includes(':') ? short : `${short}:latest`);
}

/** The body of `/api/tags`. */
export function listTags(modified: Date): unknown {
  return {
    models: names.map((name) => ({
      name,
      model: name,
      modified_at: modified.toISOString(),
      size: 0,
      digest: createHash('sha256').update(name).digest('hex'),
      details: {
        parent_model: '',
        format: 'practice',
        family: 'practice',
        families: ['practice'],
        parameter_size: '0',
        quantization_level: 'unknown',
      },
    })),
  };
}

/** The body of `/v1/models`. */
export function listModels(modified: Date): unknown {
  const created = Math.floor(modified.getTime() / 1000);
  return { object: 'list', data: names.map((id) => ({ id, object: 'model', created, owned_by: 'library' })) };
}
