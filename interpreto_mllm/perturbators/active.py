"""Pairs of complementary coalitions, each round those that tell most of the Shapley values."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.evaluations import Draw, coalition_keys
from interpreto_mllm.gaussian.fit import fit
from interpreto_mllm.gaussian.observations import Observations
from interpreto_mllm.gaussian.posterior import Posterior
from interpreto_mllm.perturbators.complementary import with_complements
from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator
from interpreto_mllm.perturbators.strata import stratified_pairs
from interpreto_mllm.perturbators.subsets import counting


class ActivePerturbator(Perturbator):
    """draft"""
    GROWTH=0.3; POOL=1000; FIRST=0.5; MIXA=0.5; NESTED=False; MINB=0.25
    def minimum_budget(self, n):
        return min(2**n, 4)

    def draw(self, n: int, budget: int, generator: torch.Generator) -> Drawing:
        pairs = min((budget - 2) // 2, 2 ** (n - 1) - 1)
        if pairs < 1: return
        first = min(pairs, max(2, round(n*self.FIRST)))
        from interpreto_mllm.perturbators.kernel import KernelPerturbator
        if self.NESTED: sides = KernelPerturbator()._nested(n, min(first,n-1), generator).coalitions[::2]
        else:
            sizes = torch.arange(1, n // 2 + 1, dtype=torch.float64)
            sides = stratified_pairs(n, first, 1/(sizes*(n-sizes)), generator).coalitions[::2]
        everyone = torch.ones(1, n, dtype=torch.bool)
        sides = torch.cat([everyone, sides])
        values = yield Draw(with_complements(sides))
        logs=None
        while len(sides) <= pairs:
            obs = Observations.of_pairs(sides, values[0::2], values[1::2])
            kernel = fit(obs, logs); logs = kernel.logs
            count = min(pairs+1-len(sides), max(1,round(n*self.MINB), round(self.GROWTH*len(sides))))
            pool = self._pool(n, sides, generator)
            chosen = Posterior(kernel, obs).most_telling(pool.double()*2-1, count)
            new = pool[chosen]
            if len(new)<count:
                rest = torch.ones(len(pool),dtype=torch.bool); rest[chosen]=False
                new = torch.cat([new, pool[rest][:count-len(new)]])
            v = yield Draw(with_complements(new))
            sides, values = torch.cat([sides,new]), torch.cat([values,v])

    def _pool(self, n, sides, generator):
        if 2**(n-1) - len(sides) <= self.POOL:
            pool = counting(n, torch.arange(1, 2**(n-1)))
        else:
            sizes = torch.arange(1, n // 2 + 1, dtype=torch.float64)
            a=int(self.POOL*self.MIXA)
            pool = torch.cat([stratified_pairs(n, a, 1/(sizes*(n-sizes)), generator).coalitions[::2],
              stratified_pairs(n, self.POOL-a, torch.ones(len(sizes)).double(), generator).coalitions[::2]])
        seen = set(coalition_keys(with_complements(sides)))
        kept=[]
        for i,(k,kk) in enumerate(zip(coalition_keys(pool), coalition_keys(~pool))):
            if k not in seen and kk not in seen:
                seen.add(k); seen.add(kk); kept.append(i)
        return pool[torch.tensor(kept,dtype=torch.long)]
