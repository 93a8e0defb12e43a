"""Options that are refused."""

from __future__ import annotations

from support.refusals.row import SKY, Row, classify, explain

from interpreto_mllm import Drop, Granularity, InferenceModes, Replace, StopPhrases, TopK

SETTINGS = [
    Row(
        "an unknown option",
        lambda: explain(SKY, granularty=3),
        "KernelShap has no option 'granularty'. Its options are",
        TypeError,
    ),
    Row("a granularity as a text", lambda: explain(SKY, granularity="word"), "not the string 'word'"),
    Row("a class where a granularity is meant", lambda: explain(SKY, granularity=Granularity), "granularity must be one of"),
    Row(
        "a granularity that returns nothing",
        lambda: explain(SKY, granularity=lambda text: None),
        "A granularity gives a list of (start, end), in characters; got None",
        TypeError,
    ),
    Row(
        "a granularity that returns texts",
        lambda: explain(SKY, granularity=str.split),
        "A granularity gives a list of (start, end)",
        TypeError,
    ),
    Row("a granularity without any span", lambda: explain(SKY, granularity=lambda text: []), "Nothing is left to explain"),
    Row("an empty span", lambda: explain(SKY, granularity=[(3, 3)]), "Span (3, 3) is wrong"),
    Row("spans that overlap", lambda: explain(SKY, granularity=[(0, 3), (2, 5)]), "spans must be in order, not overlap"),
    Row("a span beyond the text", lambda: explain(SKY, granularity=[(0, 50)]), "at most 15, the length of the text"),
    Row("a mode as a text", lambda: explain(SKY, inference_mode="softmax"), "inference_mode must be one of"),
    Row("a class where a mode is meant", lambda: explain(SKY, inference_mode=InferenceModes), "inference_mode must be one of"),
    Row(
        "a mode that returns nothing",
        lambda: explain(SKY, inference_mode=lambda logits, targets: None),
        "A mode returns a tensor with a value for each target id",
        TypeError,
        after=True,
    ),
    Row(
        "a mode that returns one value for all targets",
        lambda: explain(SKY, " x y", inference_mode=lambda logits, targets: logits.sum()),
        "returned a tensor of shape ()",
        TypeError,
        after=True,
    ),
    Row("an occlusion as a text", lambda: explain(SKY, occlusion="drop"), "occlusion must be Drop(), Replace(...) or Attend()"),
    Row("a class where an occlusion is meant", lambda: explain(SKY, occlusion=Drop), "occlusion must be Drop()"),
    Row("`Replace()` without a mask token", lambda: explain(SKY, occlusion=Replace()), "This tokenizer has no mask token"),
    Row(
        "a replacement id that the tokenizer does not have",
        lambda: explain(SKY, occlusion=Replace(99999)),
        "token ids of this tokenizer lie in",
    ),
    Row("an empty replacement", lambda: explain(SKY, occlusion=Replace("")), "this text has no tokens; use Drop()"),
    Row(
        "a replacement that is no text",
        lambda: explain(SKY, occlusion=Replace([3])),
        "Replace takes a text, a token id",
        TypeError,
    ),
    Row("a budget of nothing", lambda: explain(SKY, budget=0), "budget must be a positive int, or a fraction"),
    Row("a budget that is no number", lambda: explain(SKY, budget="all"), "budget must be a positive int"),
    Row("`True` as a budget", lambda: explain(SKY, budget=True), "budget must be a positive int"),
    Row("more than all coalitions", lambda: explain(SKY, budget=1.5), "A float budget is a fraction of 2^n"),
    Row(
        "a budget below the method's minimum",
        lambda: explain(SKY, budget=3),
        "needs a budget of at least 4 evaluations for 4 features",
    ),
    Row("no rows in a batch", lambda: explain(SKY, batch_size=0), "batch_size must be a positive int; got 0"),
    Row("a seed that is no int", lambda: explain(SKY, seed="a"), "seed must be an int; got 'a'"),
    Row(
        "`share_prefixes` as a text",
        lambda: explain(SKY, share_prefixes="no"),
        "share_prefixes must be True or False; got 'no'",
    ),
    Row("`progress` as a number", lambda: explain(SKY, progress_=1), "has no option 'progress_'", TypeError),
    Row("a role as a text", lambda: explain(SKY, roles="user"), "roles must be a collection of role names"),
    Row("a rule of another kind", lambda: explain(SKY, until=3), "until must be a rule", TypeError),
    Row("a class where a rule is meant", lambda: explain(SKY, until=TopK), "until must be a rule", TypeError),
    Row("`TopK` of no feature", lambda: TopK(0), "TopK takes a number of features of at least 1"),
    Row("a pin as a text", lambda: explain(SKY, pinned="the"), "pinned must be a list of texts or indices"),
    Row("a pin that is no feature", lambda: explain(SKY, pinned=["moon"]), "pinned names 'moon', which is not a feature"),
    Row("a pin of another kind", lambda: explain(SKY, pinned=[1.5]), "pinned holds texts and indices", TypeError),
    Row(
        "everything pinned", lambda: explain(SKY, pinned=["the", "sky", "is", "blue"]), "every feature of the prompt is pinned"
    ),
    Row(
        "a filter that returns nothing",
        lambda: explain(SKY, pinned=lambda feature: None),
        "pinned returned None for every feature",
        TypeError,
    ),
    Row(
        "a class where a filter is meant", lambda: explain(SKY, pinned=StopPhrases), "pinned must be a list of texts or indices"
    ),
    Row("too few group labels", lambda: explain(SKY, groups=[0]), "groups needs one label per feature: 4 features, 1 labels"),
    Row("groups that return nothing", lambda: explain(SKY, groups=lambda features: None), "groups returned None", TypeError),
    Row(
        "labels that cannot be compared",
        lambda: explain(SKY, groups=[[1], [1], [2], [2]]),
        "groups has the label [1], which cannot be compared",
        TypeError,
    ),
    Row(
        "an unknown argument of `generate`",
        lambda: explain(SKY, generate={"max_tokens": 4}),
        "generate has 'max_tokens', which",
    ),
    Row(
        "the same, beside a target",
        lambda: explain(SKY, " blue", generate={"temprature": 1.0}),
        "generate has 'temprature', which",
    ),
    Row(
        "`generate` for a classifier",
        lambda: classify(SKY, generate={"max_new_tokens": 4}),
        "generates nothing: leave `generate` out",
    ),
    Row("`generate` that is no mapping", lambda: explain(SKY, generate=8), "generate must be a mapping"),
]
