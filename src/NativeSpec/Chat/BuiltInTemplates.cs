namespace NativeSpec.Chat;

/// <summary>Templates for models whose files have none, by the form that they were trained on. Only <c>plain</c> shows tools, in words of its own: a model
/// that was trained to call them brings a template with its form.</summary>
internal static class BuiltInTemplates
{
    private const string Refuse = "{{ raise_exception('this template has no role ' ~ m.role) }}";

    /// <summary>Where answers end in those of these templates that write no control token behind an answer.</summary>
    public static readonly IReadOnlyDictionary<string, string[]> StopStrings = new Dictionary<string, string[]>(StringComparer.Ordinal)
    {
        ["plain"] = ["\nUser:"],
        ["vicuna"] = ["\nUSER:"],
    };

    /// <summary>The templates' texts by name.</summary>
    public static readonly IReadOnlyDictionary<string, string> All = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        // No control tokens at all: for models that only continue text.
        ["plain"] = """
            {% if tools %}Tools. To call one, answer with a line such as {{ {'name': 'NAME', 'arguments': {} }|tojson }}
            {% for t in tools %}{{ (t.function or t)|tojson }}
            {% endfor %}

            {% endif %}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}

            {% elif m.role == 'user' %}User: {{ m.content }}
            {% elif m.role == 'assistant' %}Assistant: {{ m.content if m.content is not none }}{% if m.tool_calls %}{% for c in m.tool_calls %}{{ {'name': c.function.name, 'arguments': c.function.arguments}|tojson }}{% endfor %}{% endif %}{{ '\n' }}{% elif m.role == 'tool' %}Tool: {{ m.content }}
            {% else %}
            """ + Refuse + """
            {% endif %}{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}
            """,
        ["chatml"] = """
            {% for m in messages %}{{ '<|im_start|>' ~ m.role ~ '\n' ~ m.content ~ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}
            """,
        ["llama2"] = """
            {% set ns = namespace(system='') %}{% for m in messages %}{% if m.role == 'system' %}{% set ns.system = '<<SYS>>\n' ~ m.content ~ '\n<</SYS>>\n\n' %}{% elif m.role == 'user' %}{{ bos_token ~ '[INST] ' ~ ns.system ~ (m.content|trim) ~ ' [/INST]' }}{% set ns.system = '' %}{% elif m.role == 'assistant' %}{{ ' ' ~ (m.content|trim) ~ ' ' ~ eos_token }}{% else %}
            """ + Refuse + "{% endif %}{% endfor %}",
        ["llama3"] = """
            {{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' ~ m.role ~ '<|end_header_id|>\n\n' ~ (m.content|trim) ~ '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}
            """,
        ["zephyr"] = """
            {% for m in messages %}{{ '<|' ~ m.role ~ '|>\n' ~ m.content ~ eos_token ~ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}
            """,
        ["vicuna"] = """
            {{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content ~ '\n\n' }}{% elif m.role == 'user' %}{{ 'USER: ' ~ m.content ~ '\n' }}{% elif m.role == 'assistant' %}{{ 'ASSISTANT: ' ~ m.content ~ eos_token ~ '\n' }}{% else %}
            """ + Refuse + "{% endif %}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}",
    };
}
